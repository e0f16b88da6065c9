"""Let workers share the scoring of an evaluation: fit jobs, and what they found for each part."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KINDS = ("ingest", "calibrate", "index", "plan", "extract", "fit", "score", "compare")
OLD_KINDS = tuple(kind for kind in KINDS if kind != "fit")


def upgrade() -> None:
    """Add an empty table and three columns.

    Evaluations that are planned already have no list of fits. Their score job fits everything, as before, so
    a score job that is queued now needs no change.
    """
    op.create_table(
        "part_result",
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("predictions", sa.JSON(), nullable=False),
        sa.Column("machine", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluation.id"],
            name=op.f("fk_part_result_evaluation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "part", name=op.f("pk_part_result")),
    )
    op.add_column("evaluation", sa.Column("fits", sa.JSON(), nullable=True))
    op.add_column("evaluation", sa.Column("scoring_units", sa.Integer(), nullable=True))
    op.add_column("job", sa.Column("number", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.drop_index("uq_job_evaluation", "job")
    op.create_index("uq_job_evaluation", "job", ["evaluation_id", "kind", "number"], unique=True)
    _check(kinds=KINDS)


def downgrade() -> None:
    """Give each evaluation that is being fitted a score job instead, which fits everything anew."""
    op.execute(
        "INSERT INTO job "
        "(id, kind, queue, team, evaluation_id, priority, state, crashes, outages, losses, done) "
        "SELECT gen_random_uuid(), 'score', 'cpu', team, id, priority, 'queued', 0, 0, 0, 0 "
        "FROM evaluation WHERE state = 'scoring' "
        "ON CONFLICT (evaluation_id, kind, number) DO NOTHING"
    )
    op.execute("DELETE FROM job WHERE kind = 'fit'")
    _check(kinds=OLD_KINDS)
    op.drop_index("uq_job_evaluation", "job")
    op.create_index("uq_job_evaluation", "job", ["evaluation_id", "kind"], unique=True)
    op.drop_column("job", "number")
    op.drop_column("evaluation", "scoring_units")
    op.drop_column("evaluation", "fits")
    op.drop_table("part_result")


def _check(*, kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_job_kind"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_kind"), "job", sa.column("kind", sa.String()).in_(kinds))
