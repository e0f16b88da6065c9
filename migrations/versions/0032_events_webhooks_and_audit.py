"""Store what happened, the webhooks that are told of it, and who changed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

EVENTS = (
    "checkpoint.ready",
    "checkpoint.rejected",
    "evaluation.done",
    "evaluation.failed",
    "evaluation.cancelled",
    "gate.verdict",
    "model.dropped",
    "webhook.test",
)
TABLES = ("event", "webhook", "delivery", "audit_entry")  # in the order of upgrade


def upgrade() -> None:
    """Add empty tables. What happened before is not told."""
    op.add_column("evaluation", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        _created(),
        sa.Column("kind", _words("kind", *EVENTS), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in ("checkpoint_id", "evaluation_id")),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_team_id", "event", ["team", "id"])
    op.create_index(op.f("ix_event_evaluation_id"), "event", ["evaluation_id"])
    op.create_table(
        "webhook",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("team", "by", "url", "secret")),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("form", _words("form", "vcpbench", "slack"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        *(_time(name) for name in ("failing_since", "off_at")),
        sa.Column("id", sa.Uuid(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index("ix_webhook_team_created_at", "webhook", ["team", "created_at"])
    op.create_table(
        "delivery",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("state", _words("state", "waiting", "delivered", "failed"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        _time("ended_at"),
        sa.Column("id", sa.Uuid(), nullable=False),
        _created(),
        *(
            sa.ForeignKeyConstraint(
                [f"{table}_id"], [f"{table}.id"], name=op.f(f"fk_delivery_{table}_id"), ondelete="CASCADE"
            )
            for table in ("webhook", "event")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("webhook_id", "event_id", name=op.f("uq_delivery_webhook_id_event_id")),
    )
    op.create_index(op.f("ix_delivery_event_id"), "delivery", ["event_id"])
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_delivery_due", "delivery", ["webhook_id", "due_at"], postgresql_where=waiting)
    op.create_table(
        "audit_entry",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("team", "by", "action")),
        sa.Column("by_admin", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_team_created_at", "audit_entry", ["team", "created_at"])
    op.create_index("ix_audit_entry_created_at", "audit_entry", ["created_at"])


def downgrade() -> None:
    """Drop the tables. Webhooks must be made again, and the audit log is lost."""
    for name in reversed(TABLES):
        op.drop_table(name)
    op.drop_column("evaluation", "told_at")


def _words(name: str, *members: str) -> sa.Enum:
    return sa.Enum(*members, name=name, native_enum=False, create_constraint=True, length=20)


def _created() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _now() -> sa.TextClause:
    return sa.text("clock_timestamp()")
