"""Note the hash of each features object and each manifest, so that a reader notices damage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns. They stay empty for objects that are stored already, which stay readable."""
    op.add_column("shard", sa.Column("sha256", sa.String(), nullable=True))
    op.add_column("dataset", sa.Column("manifest_sha256", sa.String(), nullable=True))


def downgrade() -> None:
    """Forget the hashes. The objects are the same as before."""
    op.drop_column("dataset", "manifest_sha256")
    op.drop_column("shard", "sha256")
