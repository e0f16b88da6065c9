"""Store the pixel baseline's score with each score."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column beside the one of the random weights."""
    op.add_column("score", sa.Column("pixels", sa.Double(), nullable=True))


def downgrade() -> None:
    """Drop the column. The results still hold the values."""
    op.drop_column("score", "pixels")
