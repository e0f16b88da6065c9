"""Store pauses of queues, quotas of teams, and which workers are to end after their job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add empty tables. No worker drains."""
    op.create_table(
        "pause",
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
        sa.UniqueConstraint("what", name=op.f("uq_pause_what")),
    )
    op.create_table(
        "team_quota",
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=True),
        sa.Column("uploads_a_day", sa.Integer(), nullable=True),
        sa.Column("running", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False, server_default=_now()),
        sa.PrimaryKeyConstraint("team", name=op.f("pk_team_quota")),
    )
    op.add_column("worker", sa.Column("draining_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("worker", sa.Column("drained_by", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop the tables. Paused queues go on, and quotas must be set again."""
    op.drop_column("worker", "drained_by")
    op.drop_column("worker", "draining_since")
    op.drop_table("team_quota")
    op.drop_table("pause")


def _now() -> sa.TextClause:
    return sa.text("clock_timestamp()")
