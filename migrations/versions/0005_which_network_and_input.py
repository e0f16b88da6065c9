"""Store the declared network of a checkpoint's file, and its declared input."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = ("prefix", "input_spec")


def upgrade() -> None:
    """Add a column for each declaration."""
    for name in COLUMNS:
        op.add_column("checkpoint", sa.Column(name, sa.String(), nullable=True))


def downgrade() -> None:
    """Drop the columns. The declarations are lost."""
    for name in reversed(COLUMNS):
        op.drop_column("checkpoint", name)
