"""Scores carry their unit, and which way is better."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = {"unit": "percent", "better": "higher"}


def upgrade() -> None:
    """Every score from before was a percentage of which more is better."""
    for name, default in COLUMNS.items():
        op.add_column("score", sa.Column(name, sa.String(), nullable=False, server_default=default))


def downgrade() -> None:
    """They are still in the results."""
    for name in COLUMNS:
        op.drop_column("score", name)
