"""Index what a count of a board reads: whether a result is a control's, and when it came."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BEFORE = ["dataset_id", "protocol_hash", "engine", "state"]


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index("ix_evaluation_board", "evaluation")
    op.create_index("ix_evaluation_board", "evaluation", [*BEFORE, "is_control", "finished_at"])


def downgrade() -> None:
    """Make the shorter one again."""
    op.drop_index("ix_evaluation_board", "evaluation")
    op.create_index("ix_evaluation_board", "evaluation", BEFORE)
