"""Scores carry what the pixel baseline gives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column beside the random weights'."""
    op.add_column("score", sa.Column("pixels", sa.Double(), nullable=True))


def downgrade() -> None:
    """What was measured is still in the results."""
    op.drop_column("score", "pixels")
