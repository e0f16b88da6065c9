"""Store one comparison for each pair of evaluations. Jobs compute the comparisons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KINDS = ("ingest", "calibrate", "index", "plan", "extract", "score")
SUBJECTS = ("checkpoint_id", "dataset_id", "evaluation_id", "shard_id")


def upgrade() -> None:
    """Add an empty table. A comparison is computed when a user first asks for it."""
    states = sa.Enum(
        "waiting", "done", "failed", name="state", native_enum=False, create_constraint=True, length=20
    )
    op.create_table(
        "comparison",
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("content", sa.JSON(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], ["evaluation.id"], name=op.f(f"fk_comparison_{name}"), ondelete="CASCADE"
            )
            for name in ("first_id", "second_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparison")),
        sa.UniqueConstraint(
            "first_id", "second_id", "version", name=op.f("uq_comparison_first_id_second_id_version")
        ),
    )
    op.create_index(op.f("ix_comparison_second_id"), "comparison", ["second_id"])
    op.add_column("job", sa.Column("comparison_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_job_comparison_id"), "job", "comparison", ["comparison_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index("uq_job_comparison", "job", ["comparison_id"], unique=True)
    _check(kinds=(*KINDS, "compare"), subjects=(*SUBJECTS, "comparison_id"))


def downgrade() -> None:
    """Drop the table. Comparisons must be computed again."""
    op.execute("DELETE FROM job WHERE kind = 'compare'")
    _check(kinds=KINDS, subjects=SUBJECTS)
    op.drop_column("job", "comparison_id")
    op.drop_table("comparison")


def _check(*, kinds: tuple[str, ...], subjects: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_job_kind"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_kind"), "job", sa.column("kind", sa.String()).in_(kinds))
    op.drop_constraint(op.f("ck_job_subject"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_subject"), "job", f"num_nonnulls({', '.join(subjects)}) = 1")
