"""Names that people give: old names of models, aliases of checkpoints, tags of models."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified


class FormerName(Identified, Base):
    """A name that a model had before it was renamed. The name still leads to the model.

    Attributes:
        team: The model's team.
        name: The old name. No other model of the team may have it.
        model_id: The model.
        by: Name of the token that renamed the model. `created_at` says when.
    """

    __tablename__ = "former_name"
    __table_args__ = (UniqueConstraint("team", "name"),)

    team: Mapped[str]
    name: Mapped[str]
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id", ondelete="CASCADE"), index=True)
    by: Mapped[str]


class AliasMove(Identified, Base):
    """One move of a team's alias. The newest row says where the alias points, the others where it pointed.

    Attributes:
        team: The team that the alias belongs to.
        name: The alias, without its `@`.
        checkpoint_id: Where it points from now on; None if it was removed.
        by: Name of the token that moved it. `created_at` says when.
        deleted_at: When the checkpoint at which it pointed was deleted; None if nobody deleted it.
        deleted_private: Whether the deleted checkpoint belonged to a private model. Other teams are not told.
    """

    __tablename__ = "alias_move"
    __table_args__ = (Index("ix_alias_move_team_name_created_at", "team", "name", "created_at"),)

    team: Mapped[str]
    name: Mapped[str]
    # Not CASCADE: if the newest row went with its checkpoint, the alias would point at an older one unasked.
    checkpoint_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("checkpoint.id", ondelete="SET NULL"), index=True
    )
    by: Mapped[str]
    deleted_at: Mapped[datetime | None]
    deleted_private: Mapped[bool] = mapped_column(server_default=false())


class ModelTag(Identified, Base):
    """A tag of a model. A removed tag stays as a row, so that the table says who removed it.

    Attributes:
        model_id: The model.
        tag: A lower-case word.
        by: Name of the token that added it. `created_at` says when.
        removed_at: When it was removed; None if the model has it.
        removed_by: Name of the token that removed it.
    """

    __tablename__ = "model_tag"
    __table_args__ = (
        Index(
            "uq_model_tag_live", "model_id", "tag", unique=True, postgresql_where=text("removed_at IS NULL")
        ),
        Index("ix_model_tag_tag", "tag", postgresql_where=text("removed_at IS NULL")),
    )

    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id", ondelete="CASCADE"))
    tag: Mapped[str]
    by: Mapped[str]
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[str | None]
