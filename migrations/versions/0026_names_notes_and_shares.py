"""Store old names of models, aliases, tags, notes, saved views and links that read one page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

LIVE = sa.text("removed_at IS NULL")
TABLES = ("former_name", "alias_move", "model_tag", "note", "saved_view", "share")  # in the order of upgrade


def upgrade() -> None:
    """Add empty tables."""
    _table("former_name", *_texts("team", "name", "by"), _to("model_id", "model"), unique=("team", "name"))
    op.create_index(op.f("ix_former_name_model_id"), "former_name", ["model_id"])

    pointer = _to("checkpoint_id", "checkpoint", nullable=True, ondelete="SET NULL")
    _table("alias_move", *_texts("team", "name", "by"), pointer)
    op.create_index("ix_alias_move_team_name_created_at", "alias_move", ["team", "name", "created_at"])
    op.create_index(op.f("ix_alias_move_checkpoint_id"), "alias_move", ["checkpoint_id"])

    _table("model_tag", _to("model_id", "model"), *_texts("tag", "by"), *_ending("removed"))
    op.create_index("uq_model_tag_live", "model_tag", ["model_id", "tag"], unique=True, postgresql_where=LIVE)
    op.create_index("ix_model_tag_tag", "model_tag", ["tag"], postgresql_where=LIVE)

    _table("note", _to("evaluation_id", "evaluation"), *_texts("team", "by", "text"), *_ending("edited"))
    op.create_index("ix_note_evaluation_id_created_at", "note", ["evaluation_id", "created_at"])

    _table("saved_view", *_texts("team", "page", "name", "query", "by"), unique=("team", "page", "name"))

    _table(
        "share",
        *_texts("team", "by", "secret_sha256"),
        _to("evaluation_id", "evaluation"),
        _to("second_id", "evaluation", nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *_ending("revoked"),
        unique=("secret_sha256",),
    )
    op.create_index("ix_share_team_created_at", "share", ["team", "created_at"])
    for name in ("evaluation_id", "second_id"):
        op.create_index(op.f(f"ix_share_{name}"), "share", [name])


def downgrade() -> None:
    """Drop the tables. Names, notes and links are lost; models keep the names that they have now."""
    for name in reversed(TABLES):
        op.drop_table(name)


def _table(name: str, *columns: sa.Column[object], unique: tuple[str, ...] = ()) -> None:
    """Make a table of these columns, with an id and the time of its creation."""
    created = sa.Column(
        "created_at",
        sa.DateTime(timezone=True),
        server_default=sa.text("clock_timestamp()"),
        nullable=False,
    )
    constraints = [sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}"))]
    rules: list[sa.UniqueConstraint] = []
    if unique:
        rules.append(sa.UniqueConstraint(*unique, name=op.f(f"uq_{name}_{'_'.join(unique)}")))
    named = [
        sa.ForeignKeyConstraint(
            [column.name],
            [column.info["to"]],
            name=op.f(f"fk_{name}_{column.name}"),
            ondelete=column.info["ondelete"],
        )
        for column in columns
        if "to" in column.info
    ]
    identity = sa.Column("id", sa.Uuid(), nullable=False)
    op.create_table(name, *columns, identity, created, *named, *constraints, *rules)


def _texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _to(name: str, table: str, *, nullable: bool = False, ondelete: str = "CASCADE") -> sa.Column[object]:
    """A column that names a row of another table; `_table` makes its foreign key."""
    return sa.Column(name, sa.Uuid(), nullable=nullable, info={"to": f"{table}.id", "ondelete": ondelete})


def _ending(what: str) -> list[sa.Column[object]]:
    """Columns for when something happened, and by whom."""
    return [
        sa.Column(f"{what}_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(f"{what}_by", sa.String(), nullable=True),
    ]
