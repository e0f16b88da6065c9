"""Store the engine and the priority of each evaluation. Each engine has leaderboards of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Until now every version ran the same benchmarks, and scoring had no version. An evaluation that is not done
# has no known engine. If it still waits, it gets the current engine when its turn comes.
MADE_BY = """
UPDATE evaluation SET engine = concat_ws('/', protocol.content ->> 'frames',
    evaluation.results -> 'provenance' -> 'versions' ->> 'engine', '1', 'cloze,recognition,retrieval')
FROM protocol WHERE protocol.hash = evaluation.protocol_hash
AND evaluation.results -> 'provenance' -> 'versions' ->> 'engine' IS NOT NULL
"""
LIVE = sa.text("state NOT IN ('failed', 'cancelled')")
KEY = ["checkpoint_id", "dataset_id", "protocol_hash"]


def upgrade() -> None:
    """Add the columns. The engine of a finished evaluation comes from its results."""
    op.add_column("evaluation", sa.Column("engine", sa.String(), nullable=False, server_default=""))
    op.alter_column("evaluation", "engine", server_default=None)
    op.execute(MADE_BY)
    for table in ("evaluation", "job"):
        op.add_column(table, sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")))
    _indices([*KEY, "engine"], ["dataset_id", "protocol_hash", "engine", "state"])


def downgrade() -> None:
    """Drop the columns. If several engines made the same evaluation, cancel all but the newest."""
    op.execute(
        "UPDATE evaluation SET state = 'cancelled', reason = 'another version made it anew' WHERE id IN ("
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY checkpoint_id, dataset_id, protocol_hash "
        "ORDER BY created_at DESC) AS place FROM evaluation WHERE state NOT IN ('failed', 'cancelled')) "
        "AS live WHERE place > 1)"
    )
    _indices(KEY, ["dataset_id", "protocol_hash", "state"])
    op.drop_column("evaluation", "engine")
    for table in ("evaluation", "job"):
        op.drop_column(table, "priority")


def _indices(key: list[str], board: list[str]) -> None:
    op.drop_index("uq_evaluation_live", "evaluation")
    op.create_index("uq_evaluation_live", "evaluation", key, unique=True, postgresql_where=LIVE)
    op.drop_index("ix_evaluation_board", "evaluation")
    op.create_index("ix_evaluation_board", "evaluation", board)
