"""Remember what was deleted and when, and note the size and last use of objects that can be made again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
KINDS = ("checkpoint", "comparison", "dataset", "evaluation", "model")
KEPT = sa.text("swept_at IS NULL")
INDEXES = {  # a deletion, and the sweep of the store, look for rows by these columns
    "shard": ("key", "checkpoint_id", "dataset_id"),
    "checkpoint": ("weights_sha256",),
    "evaluation": ("checkpoint_id",),
}


def upgrade() -> None:
    """Add columns and indexes. What is stored counts as used now. A sweep notes sizes that are missing."""
    op.create_table(
        "tombstone",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.CheckConstraint(f"kind IN {KINDS}", name=op.f("ck_tombstone_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstone")),
    )
    op.create_table(
        "sweep",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
    )
    for table in ("checkpoint", "dataset"):
        of = "weights" if table == "checkpoint" else "manifest"
        op.add_column(table, sa.Column(f"{of}_bytes", sa.BigInteger(), nullable=True))
    op.add_column("shard", sa.Column("size_bytes", sa.BigInteger(), nullable=True))
    op.add_column("shard", _moment("swept_at"))
    for table in ("shard", "media"):
        op.add_column(table, _moment("used_at", server_default=NOW, nullable=False))
    for table in ("alias_move", "share"):
        op.add_column(table, _moment("deleted_at"))
    private: sa.Column[bool] = sa.Column(
        "deleted_private", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("alias_move", private)
    op.alter_column("share", "evaluation_id", nullable=True)
    for table, columns in INDEXES.items():
        for column in columns:
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    op.create_index("ix_shard_used_at", "shard", ["used_at"], postgresql_where=KEPT)
    op.create_index(op.f("ix_media_used_at"), "media", ["used_at"])


def downgrade() -> None:
    """Drop columns and indexes. Links to deleted pages are forgotten, and so is what was deleted."""
    op.drop_index(op.f("ix_media_used_at"), "media")
    op.drop_index("ix_shard_used_at", "shard")
    for table, columns in INDEXES.items():
        for column in columns:
            op.drop_index(op.f(f"ix_{table}_{column}"), table)
    op.execute("DELETE FROM share WHERE evaluation_id IS NULL")
    op.alter_column("share", "evaluation_id", nullable=False)
    # An older version does not know features that were swept. It finds them missing, and makes them again.
    for table, columns in {
        "share": ("deleted_at",),
        "alias_move": ("deleted_at", "deleted_private"),
        "media": ("used_at",),
        "shard": ("used_at", "swept_at", "size_bytes"),
        "dataset": ("manifest_bytes",),
        "checkpoint": ("weights_bytes",),
    }.items():
        for column in columns:
            op.drop_column(table, column)
    op.drop_table("sweep")
    op.drop_table("tombstone")


def _moment(
    name: str, *, server_default: sa.TextClause | None = None, nullable: bool = True
) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=server_default, nullable=nullable)
