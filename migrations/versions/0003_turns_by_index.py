"""An index by which each team's last turn is found."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_job_turn", "job", ["queue", "team", "started_at"])


def downgrade() -> None:
    """Drop the index. A claim then reads all jobs of each team that waits."""
    op.drop_index("ix_job_turn", table_name="job")
