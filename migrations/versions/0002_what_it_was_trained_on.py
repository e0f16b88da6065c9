"""Store the training data that a user declares for a checkpoint."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column for the declaration."""
    op.add_column("checkpoint", sa.Column("pretrained_on", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop the column. The declarations are lost."""
    op.drop_column("checkpoint", "pretrained_on")
