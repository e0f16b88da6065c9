"""Mark evaluations that ended and left jobs behind. A sweep ends these jobs in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark. Before, all jobs were ended at once, so nothing is marked."""
    op.add_column(
        "evaluation", sa.Column("leaves_jobs", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_index(
        "ix_evaluation_leaves_jobs", "evaluation", ["id"], postgresql_where=sa.text("leaves_jobs")
    )


def downgrade() -> None:
    """Forget the mark."""
    op.drop_index("ix_evaluation_leaves_jobs", "evaluation")
    op.drop_column("evaluation", "leaves_jobs")
