"""Store maps of the test videos. Jobs draw them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

KINDS = ("ingest", "calibrate", "index", "plan", "extract", "fit", "score", "compare", "media")
SUBJECTS = ("checkpoint_id", "dataset_id", "evaluation_id", "shard_id", "comparison_id", "media_id")


def upgrade() -> None:
    """Add an empty table. A map is drawn when a user first asks for it."""
    states = sa.Enum(
        "waiting", "done", "failed", name="state", native_enum=False, create_constraint=True, length=20
    )
    op.create_table(
        "map",
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("like_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
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
                [name], ["evaluation.id"], name=op.f(f"fk_map_{name}"), ondelete="CASCADE"
            )
            for name in ("evaluation_id", "like_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_map")),
        sa.UniqueConstraint(
            "evaluation_id",
            "like_id",
            "version",
            name=op.f("uq_map_evaluation_id_like_id_version"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_map_like_id"), "map", ["like_id"])
    op.add_column("job", sa.Column("map_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_job_map_id"), "job", "map", ["map_id"], ["id"], ondelete="CASCADE")
    op.create_index("uq_job_map", "job", ["map_id"], unique=True)
    _check(kinds=(*KINDS, "map"), subjects=(*SUBJECTS, "map_id"))


def downgrade() -> None:
    """Drop the table. Maps must be drawn again."""
    op.execute("DELETE FROM job WHERE kind = 'map'")
    _check(kinds=KINDS, subjects=SUBJECTS)
    op.drop_column("job", "map_id")
    op.drop_table("map")


def _check(*, kinds: tuple[str, ...], subjects: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_job_kind"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_kind"), "job", sa.column("kind", sa.String()).in_(kinds))
    op.drop_constraint(op.f("ck_job_subject"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_subject"), "job", f"num_nonnulls({', '.join(subjects)}) = 1")
