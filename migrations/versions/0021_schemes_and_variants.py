"""Store a checkpoint's key scheme and variant, and for each evaluation the version of the scheme."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

COLUMNS = ("variant", "scheme")
KEY = ["checkpoint_id", "dataset_id", "protocol_hash", "engine"]
SCHEMES = """
UPDATE checkpoint SET scheme = report ->> 'scheme'
WHERE origin = 'upload' AND state = 'ready' AND report ->> 'scheme' <> ''
"""
# Version 2 of MMAction2's scheme changed the normalisation. Where the user declared both of its words, the
# version changes nothing, so these results are as good as version 2's.
AS_GOOD = """
UPDATE evaluation SET scheme_version = 2 FROM checkpoint
WHERE checkpoint.id = evaluation.checkpoint_id
AND checkpoint.backbone = 'slow_r50' AND checkpoint.scheme = 'MMAction2'
AND checkpoint.input_spec LIKE '%mean=%' AND checkpoint.input_spec LIKE '%std=%'
"""


def upgrade() -> None:
    """Add the columns. A checkpoint's scheme comes from its report; results so far are of version 1."""
    for name in COLUMNS:
        op.add_column("checkpoint", sa.Column(name, sa.String(), nullable=True))
    op.add_column(
        "evaluation", sa.Column("scheme_version", sa.Integer(), nullable=False, server_default=sa.text("1"))
    )
    op.execute(SCHEMES)
    op.execute(AS_GOOD)
    _index([*KEY, "scheme_version"])


def downgrade() -> None:
    """Drop the columns. Of two evaluations that differ in the scheme's version, the newer one stays."""
    op.execute(
        """
        UPDATE evaluation SET state = 'cancelled' FROM evaluation AS newer
        WHERE evaluation.state NOT IN ('failed', 'cancelled') AND newer.state NOT IN ('failed', 'cancelled')
        AND newer.checkpoint_id = evaluation.checkpoint_id AND newer.dataset_id = evaluation.dataset_id
        AND newer.protocol_hash = evaluation.protocol_hash AND newer.engine = evaluation.engine
        AND newer.scheme_version > evaluation.scheme_version
        """
    )
    _index(KEY)
    op.drop_column("evaluation", "scheme_version")
    for name in reversed(COLUMNS):
        op.drop_column("checkpoint", name)


def _index(columns: list[str]) -> None:
    op.drop_index("uq_evaluation_live", "evaluation")
    op.create_index(
        "uq_evaluation_live",
        "evaluation",
        columns,
        unique=True,
        postgresql_where=sa.text("state NOT IN ('failed', 'cancelled')"),
    )
