"""Note which previews are made, and let a job make them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

KINDS = ("ingest", "calibrate", "index", "plan", "extract", "fit", "score", "compare")
SUBJECTS = ("checkpoint_id", "dataset_id", "evaluation_id", "shard_id", "comparison_id")


def upgrade() -> None:
    """Add an empty table and two columns. Previews are made when a reader first asks for them."""
    states = sa.Enum(
        "making", "made", "failed", name="state", native_enum=False, create_constraint=True, length=20
    )
    op.create_table(
        "media",
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("geometry", sa.String(), nullable=False),
        sa.Column("protocol_hash", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("files", sa.JSON(), nullable=True),
        sa.Column("failed", sa.JSON(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_media_dataset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
        sa.UniqueConstraint(
            "fingerprint", "geometry", "protocol_hash", "number", name=op.f("uq_media_group")
        ),
    )
    op.create_index(op.f("ix_media_dataset_id"), "media", ["dataset_id"])
    op.create_index("ix_media_sha256", "media", ["sha256"])
    op.add_column(
        "dataset", sa.Column("shows_media", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column("job", sa.Column("media_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_job_media_id"), "job", "media", ["media_id"], ["id"], ondelete="CASCADE")
    op.create_index("uq_job_media", "job", ["media_id"], unique=True)
    _check(kinds=(*KINDS, "media"), subjects=(*SUBJECTS, "media_id"))


def downgrade() -> None:
    """Drop the table and the columns. Previews must be made again, and no dataset hides them."""
    op.execute("DELETE FROM job WHERE kind = 'media'")
    _check(kinds=KINDS, subjects=SUBJECTS)
    op.drop_column("job", "media_id")
    op.drop_column("dataset", "shows_media")
    op.drop_table("media")


def _check(*, kinds: tuple[str, ...], subjects: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_job_kind"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_kind"), "job", sa.column("kind", sa.String()).in_(kinds))
    op.drop_constraint(op.f("ck_job_subject"), "job", type_="check")
    op.create_check_constraint(op.f("ck_job_subject"), "job", f"num_nonnulls({', '.join(subjects)}) = 1")
