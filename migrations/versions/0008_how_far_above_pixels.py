"""Store the interval of each score's distance from the pixel baseline."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = ("above_pixels_low", "above_pixels_high")


def upgrade() -> None:
    """Add the columns. They are null for older scores."""
    for name in COLUMNS:
        op.add_column("score", sa.Column(name, sa.Double(), nullable=True))


def downgrade() -> None:
    """Drop the columns. The results still hold the values."""
    for name in COLUMNS:
        op.drop_column("score", name)
