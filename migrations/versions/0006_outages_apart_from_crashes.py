"""Count attempts that ended because the store was full or absent apart from crashes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a counter that begins at 0. Nobody knows which earlier attempts ended for this reason."""
    op.add_column("job", sa.Column("outages", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("job", "outages", server_default=None)


def downgrade() -> None:
    """Drop the counter."""
    op.drop_column("job", "outages")
