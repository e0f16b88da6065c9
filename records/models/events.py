"""What happened, for watchers and receivers of webhooks; and who did what, for administrators."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.columns import words


class EventKind(StrEnum):
    """What an event tells of."""

    CHECKPOINT_READY = "checkpoint.ready"
    CHECKPOINT_REJECTED = "checkpoint.rejected"
    EVALUATION_DONE = "evaluation.done"
    EVALUATION_FAILED = "evaluation.failed"
    EVALUATION_CANCELLED = "evaluation.cancelled"
    GATE_VERDICT = "gate.verdict"
    MODEL_DROPPED = "model.dropped"
    WEBHOOK_TEST = "webhook.test"


class Event(Base):
    """Something that happened to a team's checkpoint, evaluation or webhook.

    It refers to its subjects by id only: what happened stays true when a subject is deleted.

    Attributes:
        id: Ascends in the order of the commits, so a watcher that has seen one has seen all before it.
        kind: What happened.
        team: The team that it happened to. Nobody else is told.
        checkpoint_id: The checkpoint that it is about.
        evaluation_id: The evaluation that it is about.
        facts: More for the reader: names, a reason, scores. No secrets.
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_team_id", "team", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    kind: Mapped[EventKind] = mapped_column(words(EventKind, "kind"))
    team: Mapped[str]
    checkpoint_id: Mapped[UUID | None]
    evaluation_id: Mapped[UUID | None] = mapped_column(index=True)
    facts: Mapped[dict[str, Any]]


class WebhookForm(StrEnum):
    """The JSON that a receiver gets: vcpbench's own, or a message for Slack's incoming webhooks."""

    VCPBENCH = "vcpbench"
    SLACK = "slack"


class Webhook(Identified, Base):
    """An address that is told of a team's events.

    Attributes:
        team: The team that made it.
        by: Name of the token that made it. `created_at` says when.
        url: Where deliveries go. It may hold a secret of the receiver.
        secret: The key that signs deliveries. The service needs the key itself, so no hash would do.
        kinds: The kinds of events that it is told of.
        form: The form of the deliveries.
        next_at: When a worker may send its next delivery. While one is sent, this is when the worker's claim
            ends; after a failure, the receiver gets a rest.
        failing_since: When the first delivery since the last success failed; None if none did.
        off_at: When it was switched off because it failed for days; None if it is on.
    """

    __tablename__ = "webhook"
    __table_args__ = (Index("ix_webhook_team_created_at", "team", "created_at"),)

    team: Mapped[str]
    by: Mapped[str]
    url: Mapped[str]
    secret: Mapped[str]
    kinds: Mapped[list[Any]]
    form: Mapped[WebhookForm] = mapped_column(words(WebhookForm, "form"))
    next_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    failing_since: Mapped[datetime | None]
    off_at: Mapped[datetime | None]


class DeliveryState(StrEnum):
    """The states: waiting (also while it is sent, and between attempts) -> delivered or failed."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Identified, Base):
    """One event for one webhook. The row is the outbox: it is written with the event, and sent later.

    Attributes:
        webhook_id: The webhook.
        event_id: The event.
        state: See `DeliveryState`.
        attempts: How often it was sent since it was last asked for.
        due_at: When the next attempt is due, while it waits.
        token: The claim of the worker that sends it now. Only this worker writes the result.
        status: The HTTP status of the last attempt; None if the receiver did not answer.
        error: Why the last attempt failed; None if it did not.
        ended_at: When it was delivered, or given up.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_delivery_due", "webhook_id", "due_at", postgresql_where=text("state = 'waiting'")),
    )

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"), index=True)
    state: Mapped[DeliveryState] = mapped_column(words(DeliveryState, "state"))
    attempts: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    token: Mapped[UUID | None]
    status: Mapped[int | None]
    error: Mapped[str | None]
    ended_at: Mapped[datetime | None]

    webhook: Mapped[Webhook] = relationship()
    event: Mapped[Event] = relationship()


class AuditEntry(Identified, Base):
    """Somebody changed something. The row is written with the change. `created_at` says when.

    Attributes:
        team: The team of the sender's token.
        by: Name of the sender's token.
        by_admin: Whether the sender was an administrator. It may be about things that the team does not see.
        action: The method and the route: `POST /v1/shares`.
        subject: What the request named, and the id of what it made.
        address: The address that the request came from.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_team_created_at", "team", "created_at"),
        Index("ix_audit_entry_created_at", "created_at"),
    )

    team: Mapped[str]
    by: Mapped[str]
    by_admin: Mapped[bool]
    action: Mapped[str]
    subject: Mapped[dict[str, Any]]
    address: Mapped[str]
