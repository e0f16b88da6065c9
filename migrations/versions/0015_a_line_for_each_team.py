"""An index of the queued jobs of each team and priority, so that a claim reads no other job."""

from __future__ import annotations

from alembic import op
from sqlalchemy import String, text

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
QUEUED = text("state = 'queued'")


def upgrade() -> None:
    """Give jobs of no team an empty name, and make the new index before dropping the old one."""
    op.execute("UPDATE job SET team = '' WHERE team IS NULL")
    op.alter_column("job", "team", existing_type=String(), nullable=False)
    columns = ["queue", "team", "priority", "created_at", "id"]
    op.create_index("ix_job_line", "job", columns, postgresql_where=QUEUED)
    op.drop_index("ix_job_queued", table_name="job")


def downgrade() -> None:
    """Go back to the index by age. A claim then reads and sorts all queued jobs."""
    op.create_index("ix_job_queued", "job", ["queue", "created_at"], postgresql_where=QUEUED)
    op.drop_index("ix_job_line", table_name="job")
    op.alter_column("job", "team", existing_type=String(), nullable=True)
