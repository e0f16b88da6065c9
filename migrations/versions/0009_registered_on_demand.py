"""Datasets carry whether they were registered only because an evaluation asked for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """False for what was registered before: its index goes on, whoever waits for it."""
    op.add_column("dataset", sa.Column("on_demand", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Every index is wanted by itself."""
    op.drop_column("dataset", "on_demand")
