"""Note which walls around foreign files the machine of each worker lacks, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column. A worker from before says nothing, and its row is gone a day after it ended."""
    op.add_column("worker", sa.Column("lacking_walls", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Forget the walls."""
    op.drop_column("worker", "lacking_walls")
