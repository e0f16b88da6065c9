"""Store when each evaluation and each job was asked for. Workers take jobs in that order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
QUEUED = sa.text("state = 'queued'")
LINE = ("queue", "team", "priority")
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Add the times. What is there gets one time, so jobs that wait keep the order of their own age.

    PostgreSQL notes one time for all rows of a table, and writes no row anew.
    """
    for table in ("evaluation", "job"):
        at = sa.Column(
            "asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")
        )
        op.add_column(table, at)
        op.alter_column(table, "asked_at", server_default=NOW)
    _index([*LINE, "asked_at", "created_at", "id"])


def downgrade() -> None:
    """Go back to the order of the jobs' own age."""
    _index([*LINE, "created_at", "id"])
    for table in ("evaluation", "job"):
        op.drop_column(table, "asked_at")


def _index(columns: list[str]) -> None:
    op.drop_index("ix_job_line", table_name="job")
    op.create_index("ix_job_line", "job", columns, postgresql_where=QUEUED)
