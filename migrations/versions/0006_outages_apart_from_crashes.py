"""Attempts that a full or absent store ended are counted apart from crashes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None of those that there were is known to be one."""
    op.add_column("job", sa.Column("outages", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("job", "outages", server_default=None)


def downgrade() -> None:
    """They are forgotten: a job gets its attempts anew."""
    op.drop_column("job", "outages")
