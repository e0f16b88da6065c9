"""Store whether a dataset was registered only because an evaluation asked for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. It is false for older datasets, so their indexing goes on even if nobody waits."""
    op.add_column("dataset", sa.Column("on_demand", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop the column. Indexing then never depends on an evaluation."""
    op.drop_column("dataset", "on_demand")
