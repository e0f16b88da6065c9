"""Store the catalog's name of each dataset beside its registered name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A dataset's source names it in the catalog. A folder that was recognised as an official archive is found by
# its licence, because only the readers of those archives give one.
KNOWN = """
UPDATE dataset SET own_name = CASE
    WHEN source ->> 'name_or_path' ~ '^(ucf101|hmdb51):' THEN split_part(source ->> 'name_or_path', ':', 1)
    WHEN source ->> 'name_or_path' ~ '^playground(-64|-344)?$' THEN source ->> 'name_or_path'
    WHEN summary ->> 'licence' LIKE 'unknown (free for research by custom;%' THEN 'ucf101'
    WHEN summary ->> 'licence' = 'CC BY 4.0' THEN 'hmdb51'
END
"""


def upgrade() -> None:
    """Add the column. It is null if the catalog has no name for a dataset."""
    op.add_column("dataset", sa.Column("own_name", sa.String(), nullable=True))
    op.execute(KNOWN)


def downgrade() -> None:
    """Drop the column. Only the registered names stay."""
    op.drop_column("dataset", "own_name")
