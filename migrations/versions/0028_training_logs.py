"""Store training logs of models: curves over training steps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an empty table. Users upload logs."""
    op.create_table(
        "training_log",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False, server_default=_now()),
        sa.Column("num_rows", sa.Integer(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("curves", sa.JSON(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now()),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name=op.f("fk_training_log_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_log")),
        sa.UniqueConstraint(
            "model_id",
            "run",
            name=op.f("uq_training_log_model_id_run"),
            postgresql_nulls_not_distinct=True,
        ),
    )


def downgrade() -> None:
    """Drop the table. Logs must be uploaded again."""
    op.drop_table("training_log")


def _now() -> sa.TextClause:
    return sa.text("clock_timestamp()")
