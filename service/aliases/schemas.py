"""Aliases as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from records.models import AliasMove, Checkpoint
from records.repositories.aliases import Moved
from service.auth import Caller, is_of
from service.body import Body
from service.forms import Label
from service.references import ALIAS, CHECKPOINT, LATEST, Reference


def _free(name: str) -> str:
    if f"@{name}" == LATEST:
        raise ValueError(f"{LATEST} always means a model's newest checkpoint. Choose another name.")
    return name


IS_ALIAS = f"^{ALIAS}$"
AliasName = Annotated[Label, AfterValidator(_free), WithJsonSchema({"type": "string", "pattern": IS_ALIAS})]
BY = "Name of the token that did it; null for a reader of another team."


class AliasIn(Body):
    """Where an alias shall point."""

    checkpoint: Reference = Field(
        description=f"A checkpoint of your team that is ready. {CHECKPOINT}", examples=["r3d-vcp@latest"]
    )


class AliasOut(BaseModel):
    """An alias: a team's word for a checkpoint. `@champion` then names the checkpoint."""

    name: str = Field(examples=["champion"])
    team: str = Field(examples=["vision"])
    checkpoint: UUID
    model: str = Field(examples=["r3d-vcp"])
    run: str | None
    step: int | None
    moved_at: datetime = Field(description="Since when it points there.")
    by: str | None = Field(description=BY)


class AliasPage(BaseModel):
    """Some of the aliases, by team and name."""

    items: list[AliasOut]
    total: int


class MoveOut(BaseModel):
    """One move of an alias."""

    checkpoint: UUID | None = Field(
        description="Where it pointed from then on; null if it was removed, or if the checkpoint was deleted."
    )
    moved_at: datetime
    deleted_at: datetime | None = Field(
        None, description="When the checkpoint was deleted; null if it was not."
    )
    by: str | None = Field(description=BY)


class HistoryOut(BaseModel):
    """Where an alias points and pointed before."""

    name: str
    team: str
    moves: list[MoveOut] = Field(description="The newest first; the last 100.")


def shown(move: AliasMove, checkpoint: Checkpoint, reader: Caller | None) -> AliasOut:
    """The alias for a client."""
    assert checkpoint.model is not None
    return AliasOut(
        name=move.name,
        team=move.team,
        checkpoint=checkpoint.id,
        model=checkpoint.model.name,
        run=checkpoint.run,
        step=checkpoint.step,
        moved_at=move.created_at,
        by=_by(move, reader),
    )


def move_out(moved: Moved, reader: Caller | None) -> MoveOut:
    """One move for a client."""
    move = moved.move
    return MoveOut(
        checkpoint=moved.checkpoint_id,
        moved_at=move.created_at,
        deleted_at=move.deleted_at,
        by=_by(move, reader),
    )


def _by(move: AliasMove, reader: Caller | None) -> str | None:
    return move.by if is_of(move.team, reader) else None
