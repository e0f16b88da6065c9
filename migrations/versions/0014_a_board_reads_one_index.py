"""Widen the index of scores, so that PostgreSQL can rank a leaderboard without reading the table."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the wider index before dropping the narrow one, so that pages always have an index."""
    op.create_index(
        "ix_score_scale",
        "score",
        ["metric", "value"],
        postgresql_include=["evaluation_id", "low", "high", "better"],
    )
    op.drop_index("ix_score_metric_value", "score")


def downgrade() -> None:
    """Go back to an index of metric and value only."""
    op.create_index("ix_score_metric_value", "score", ["metric", "value"])
    op.drop_index("ix_score_scale", "score")
