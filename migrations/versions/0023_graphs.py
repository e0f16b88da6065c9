"""Store the facts of a checkpoint's graph."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. All checkpoints so far have a backbone of the catalog."""
    op.add_column("checkpoint", sa.Column("graph", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop the column. Checkpoints that are graphs then have a backbone that no catalog knows."""
    op.drop_column("checkpoint", "graph")
