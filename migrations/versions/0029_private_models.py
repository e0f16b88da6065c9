"""Let models be private."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BOARD = ["dataset_id", "protocol_hash", "engine", "state", "is_control", "finished_at"]


def upgrade() -> None:
    """Add the columns. All models so far are public. The index of boards gets what hides private results."""
    op.add_column("model", sa.Column("private", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("model", sa.Column("privacy_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_model_private", "model", ["team"], postgresql_where=sa.text("private"))
    op.create_index("ix_model_privacy_changed_at", "model", ["privacy_changed_at"])
    op.drop_index("ix_evaluation_board", "evaluation")
    op.create_index("ix_evaluation_board", "evaluation", BOARD, postgresql_include=["checkpoint_id"])


def downgrade() -> None:
    """Drop the columns, unless a model is private: an older version would show it to everybody."""
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM model WHERE private)")):
        raise RuntimeError("Some models are private. Make them public first: vcpbench public MODEL.")
    op.drop_index("ix_evaluation_board", "evaluation")
    op.create_index("ix_evaluation_board", "evaluation", BOARD)
    op.drop_index("ix_model_privacy_changed_at", "model")
    op.drop_index("ix_model_private", "model")
    op.drop_column("model", "privacy_changed_at")
    op.drop_column("model", "private")
