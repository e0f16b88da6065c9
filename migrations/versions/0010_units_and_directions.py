"""Store the unit of each score, and whether higher or lower is better."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = {"unit": "percent", "better": "higher"}


def upgrade() -> None:
    """Add the columns. Every older score is a percentage, and higher is better."""
    for name, default in COLUMNS.items():
        op.add_column("score", sa.Column(name, sa.String(), nullable=False, server_default=default))


def downgrade() -> None:
    """Drop the columns. The results still hold the values."""
    for name in COLUMNS:
        op.drop_column("score", name)
