"""What happened: written with the change that it tells of, for watchers and webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, or_, select, union, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import (
    ENDED,
    Delivery,
    DeliveryState,
    Evaluation,
    Event,
    EventKind,
    Job,
    Webhook,
    evaluation_controls,
    evaluation_shards,
)
from records.repositories import locks

CHANNEL = "vcpbench_events"  # of LISTEN and NOTIFY
NEW = "event"  # a notice that there are new events; every other notice is an evaluation's id
KEPT = timedelta(days=30)  # then an event is deleted with its deliveries
TOLD_EVERY = timedelta(seconds=1)
_LOCK = "vcpbench.events"


def add(
    session: Session,
    kind: EventKind,
    *,
    team: str,
    facts: dict[str, Any],
    checkpoint_id: UUID | None = None,
    evaluation_id: UUID | None = None,
    webhook_id: UUID | None = None,
) -> Event:
    """Write an event, with a delivery for each webhook of the team that is told of its kind.

    Events are written one after the other, under a lock. So their ids ascend in the order of the commits. A
    watcher that resumes after an id misses nothing, as it would if a smaller id were committed later.

    Args:
        session: Of the change.
        kind: What happened.
        team: The team that is told.
        facts: More for the reader; no secrets.
        checkpoint_id: The checkpoint that it is about.
        evaluation_id: The evaluation that it is about.
        webhook_id: The only webhook that is told, whatever its kinds are.
    """
    lock(session)
    event = Event(
        id=newest(session) + 1,
        kind=kind,
        team=team,
        checkpoint_id=checkpoint_id,
        evaluation_id=evaluation_id,
        facts=facts,
    )
    session.add(event)
    session.flush()
    wanted = [webhook_id] if webhook_id else _told_of(session, team, kind)
    if wanted:
        one = {"event_id": event.id, "state": DeliveryState.WAITING, "attempts": 0}
        session.execute(insert(Delivery), [{**one, "webhook_id": webhook} for webhook in wanted])
    notify(session, NEW)
    return event


def lock(session: Session) -> None:
    """Let no other transaction add an event until this one ends."""
    locks.take(session, _LOCK)


def _told_of(session: Session, team: str, kind: EventKind) -> list[UUID]:
    on = session.scalars(select(Webhook).where(Webhook.team == team, Webhook.off_at.is_(None)))
    return [webhook.id for webhook in on if kind in webhook.kinds]


def notify(session: Session, notice: str) -> None:
    """Send a notice to all processes of the service, once this transaction is committed."""
    session.execute(select(func.pg_notify(CHANNEL, notice)))


def tell_progress(session: Session, job_id: UUID) -> None:
    """Notify of the evaluations that a job is for, each at most once in `TOLD_EVERY`.

    Call it in a transaction of its own. It waits for no lock: if a row is locked, somebody changes the
    evaluation's state just now, and that change sends a notice itself.
    """
    own = select(Job.evaluation_id).where(Job.id == job_id)
    of_shard = (
        select(evaluation_shards.c.evaluation_id)
        .join(Job, Job.shard_id == evaluation_shards.c.shard_id)
        .where(Job.id == job_id)
    )
    first = select(union(own, of_shard).subquery().c[0])
    needing = select(evaluation_controls.c.evaluation_id).where(evaluation_controls.c.control_id.in_(first))
    both = select(union(first, needing).subquery().c[0])  # for OR, PostgreSQL would read the whole table
    due = (
        select(Evaluation.id)
        .where(
            Evaluation.id.in_(both),
            Evaluation.state.not_in(ENDED),
            or_(Evaluation.told_at.is_(None), Evaluation.told_at < NOW - TOLD_EVERY),
        )
        .with_for_update(skip_locked=True)
    )
    told = update(Evaluation).where(Evaluation.id.in_(due)).values(told_at=NOW).returning(Evaluation.id)
    ids = session.scalars(told, execution_options={"synchronize_session": False}).all()
    for evaluation_id in ids:
        notify(session, str(evaluation_id))


def newest(session: Session) -> int:
    """The id of the newest event; 0 if there is none."""
    return session.scalar(select(func.max(Event.id))) or 0


def after(
    session: Session,
    event_id: int,
    *,
    team: str | None = None,
    evaluation_id: UUID | None = None,
    limit: int,
) -> Sequence[Event]:
    """Events after an event, the oldest first: of one team or of all, of one evaluation or of all."""
    query = _of(team, evaluation_id).where(Event.id > event_id)
    return session.scalars(query.order_by(Event.id).limit(limit)).all()


def page(
    session: Session, team: str | None, evaluation_id: UUID | None, *, limit: int, offset: int
) -> tuple[Sequence[Event], int]:
    """Events of a team or an evaluation, the newest first, and how many there are."""
    query = _of(team, evaluation_id)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return session.scalars(query.order_by(Event.id.desc()).limit(limit).offset(offset)).all(), total


def num_verdicts(session: Session, evaluation_id: UUID) -> int:
    """How many verdicts of gates an evaluation has."""
    verdicts = Event.evaluation_id == evaluation_id, Event.kind == EventKind.GATE_VERDICT
    return session.scalar(select(func.count()).select_from(Event).where(*verdicts)) or 0


def _of(team: str | None, evaluation_id: UUID | None) -> Select[Event]:
    query = select(Event)
    if team is not None:
        query = query.where(Event.team == team)
    if evaluation_id is not None:
        query = query.where(Event.evaluation_id == evaluation_id)
    return query


def forget_old(session: Session) -> None:
    """Delete old events with their deliveries.

    The newest event always stays. The next id is counted from it, and no id comes twice.
    """
    old = delete(Event).where(Event.created_at < NOW - KEPT, Event.id < newest(session))
    session.execute(old, execution_options={"synchronize_session": False})
