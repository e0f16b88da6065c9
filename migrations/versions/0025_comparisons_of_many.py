"""Store comparisons of many evaluations beside those of two."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a comparison have many members. All comparisons so far are of two evaluations."""
    op.alter_column("comparison", "second_id", existing_type=sa.Uuid(), nullable=True)
    op.add_column("comparison", sa.Column("members_key", sa.String(), nullable=True))
    op.create_check_constraint(
        op.f("ck_comparison_two_or_many"), "comparison", "num_nonnulls(second_id, members_key) = 1"
    )
    op.create_index(
        "uq_comparison_members", "comparison", ["members_key", "first_id", "version"], unique=True
    )
    op.create_table(
        "comparison_member",
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("comparison_id", "evaluation_id")),
        sa.ForeignKeyConstraint(
            ["comparison_id"],
            ["comparison.id"],
            name=op.f("fk_comparison_member_comparison_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluation.id"],
            name=op.f("fk_comparison_member_evaluation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("comparison_id", "evaluation_id", name=op.f("pk_comparison_member")),
    )
    op.create_index(op.f("ix_comparison_member_evaluation_id"), "comparison_member", ["evaluation_id"])


def downgrade() -> None:
    """Drop the comparisons of many. Their jobs go with them."""
    op.drop_table("comparison_member")
    op.execute("DELETE FROM comparison WHERE second_id IS NULL")
    op.drop_index("uq_comparison_members", "comparison")
    op.drop_constraint(op.f("ck_comparison_two_or_many"), "comparison", type_="check")
    op.drop_column("comparison", "members_key")
    op.alter_column("comparison", "second_id", existing_type=sa.Uuid(), nullable=False)
