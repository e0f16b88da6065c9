"""Events are written with the change that they tell of."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from records import flow
from records.db import NOW, Database
from records.events import as_json
from records.models import (
    AuditEntry,
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Delivery,
    Evaluation,
    EvaluationState,
    Event,
    EventKind,
    Job,
    JobKind,
    JobState,
    WebhookForm,
)
from records.repositories import audit, datasets, events, webhooks
from tests.service.finished import ready_checkpoint, ready_dataset, score
from vcp_core.catalog.errors import NotACheckpoint, VcpbenchError
from vcp_core.catalog.protocols import PROTOCOLS
from worker.background import forget_old


def asked(session: Session, state: CheckpointState = CheckpointState.READY) -> Evaluation:
    """An evaluation of team "vision", as a request makes it."""
    dataset = ready_dataset(session)
    checkpoint = ready_checkpoint(session, team="vision", state=state, step=7)
    protocol = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
    assert protocol is not None
    flow.lock(session)
    return flow.find_or_create(session, checkpoint, dataset, protocol.hash, team="vision")[0]


def every(database: Database) -> list[Event]:
    with database.session() as session:
        return list(session.scalars(select(Event).order_by(Event.id)))


def test_each_end_is_told_once(database: Database) -> None:
    with database.session() as session:
        evaluation = asked(session, CheckpointState.INGESTING)
        checkpoint = evaluation.checkpoint
        checkpoint.state = CheckpointState.READY
        flow.checkpoint_ended(session, checkpoint)
        session.add(score(evaluation.id, "recognition.top1", 61.0))
        session.add(score(evaluation.id, "recognition.knn.top1", 50.0))
        session.flush()
        flow.scored(session, evaluation)
        flow.fail(session, evaluation, VcpbenchError("too late"))  # it has ended
        flow.cancel(session, evaluation)
    ready, done = every(database)
    assert (ready.kind, ready.team, ready.checkpoint_id) == (
        EventKind.CHECKPOINT_READY, "vision", checkpoint.id,
    )  # fmt: skip
    assert ready.facts == {"model": "tiny", "step": 7, "backbone": "r3d_tiny"}
    assert (done.kind, done.evaluation_id, done.id) == (
        EventKind.EVALUATION_DONE, evaluation.id, ready.id + 1,
    )  # fmt: skip
    assert done.facts == {
        **ready.facts,
        "dataset": "gestures",
        "protocol": "quick-v1",
        "scores": {"recognition.top1": {"value": 61.0, "low": 60.0, "high": 62.0, "unit": "percent"}},
    }


def scored(
    session: Session, dataset: DatasetRow, value: float, better: str = "higher", **of: Any
) -> Evaluation:
    """The result of a new checkpoint of team "vision"; its interval is one to each side."""
    protocol = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
    assert protocol is not None
    flow.lock(session)
    checkpoint = ready_checkpoint(session, team="vision", **of)
    evaluation = flow.find_or_create(session, checkpoint, dataset, protocol.hash, team="vision")[0]
    row = score(evaluation.id, "recognition.top1", value)
    row.better = better
    session.add(row)
    session.flush()
    flow.scored(session, evaluation)
    return evaluation


def drops(database: Database) -> list[Event]:
    return [one for one in every(database) if one.kind is EventKind.MODEL_DROPPED]


def test_a_score_below_the_interval_of_the_checkpoint_before_is_told(database: Database) -> None:
    with database.session() as session:
        dataset = ready_dataset(session)
        first = scored(session, dataset, 61.0, run="a", step=10)
        lower = scored(session, dataset, 58.5, run="a", step=20)
    (told,) = drops(database)
    assert (told.team, told.evaluation_id, told.checkpoint_id) == ("vision", lower.id, lower.checkpoint_id)
    number = {"value": 58.5, "low": 57.5, "high": 59.5, "unit": "percent"}
    before = {"value": 61.0, "low": 60.0, "high": 62.0, "unit": "percent"}
    assert told.facts == {
        "model": "tiny", "run": "a", "step": 20, "backbone": "r3d_tiny",
        "dataset": "gestures", "protocol": "quick-v1",
        "before": {"evaluation": str(first.id), "run": "a", "step": 10},
        "drops": {"recognition.top1": {**number, "before": before}},
    }  # fmt: skip


def test_what_is_no_drop_is_not_told(database: Database) -> None:
    with database.session() as session:
        dataset, other = ready_dataset(session), ready_dataset(session, "elsewhere")
        scored(session, dataset, 61.0, run="a", step=20)
        scored(session, dataset, 59.5, run="a", step=30)  # the intervals meet
        scored(session, dataset, 70.0, run="a", step=40)
        scored(session, dataset, 30.0, run="a", step=10)  # an older one that came late
        scored(session, dataset, 20.0, run="a", step=50, prefix="teacher.")  # another network
        scored(session, dataset, 20.0, model="another")
        scored(session, other, 20.0, run="a", step=60)
        assert EventKind.MODEL_DROPPED not in session.scalars(select(Event.kind)).all()
        scored(session, dataset, 60.0, run="a", step=70)  # step 40 is before it, though step 10 came later
    assert [one.facts["before"]["step"] for one in drops(database)] == [40]


def test_where_less_is_better_more_is_a_drop(database: Database) -> None:
    with database.session() as session:
        dataset = ready_dataset(session)
        for value in (61.0, 58.5, 61.0):
            scored(session, dataset, value, "lower")
    (told,) = drops(database)
    assert told.facts["drops"]["recognition.top1"]["value"] == 61.0


def test_reasons_are_told_without_folders_of_the_operators(database: Database) -> None:
    with database.session() as session:
        evaluation = asked(session)
        evaluation.dataset.source = {"name_or_path": "/mnt/lab7"}
        why = VcpbenchError("no frame in ", PurePath("/mnt/lab7/a.avi"), " beside ", PurePath("/srv/x.csv"))
        flow.fail(session, evaluation, why)
        refused = ready_checkpoint(session, "bad", team="vision", state=CheckpointState.REJECTED)
        refused.reason = NotACheckpoint("plain text")
        flow.checkpoint_ended(session, refused)
    failed, rejected = every(database)
    assert failed.facts["reason"] == "no frame in gestures/a.avi beside x.csv"
    assert rejected.facts["reason"] == "plain text"
    assert "/mnt" not in str(as_json(failed))


def test_controls_have_no_events(database: Database) -> None:
    with database.session() as session:
        evaluation = asked(session)
        evaluation.is_control = True
        flow.scored(session, evaluation)
        flow.checkpoint_ended(session, Checkpoint(origin="control", state=CheckpointState.READY, id=uuid4()))
    assert every(database) == []


def test_an_event_goes_with_its_change(database: Database) -> None:
    def change_and_break() -> None:
        with database.session() as session:
            flow.cancel(session, asked(session))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_break()
    assert every(database) == []


def test_ids_ascend_in_the_order_of_commits(database: Database) -> None:
    """Whoever resumes after an id misses nothing: a smaller id is never committed later."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        with database.session() as session:
            events.add(session, EventKind.CHECKPOINT_READY, team="slow", facts={})
            begun.set()
            go_on.wait()

    def then() -> None:
        begun.wait()
        with database.session() as session:
            events.add(session, EventKind.CHECKPOINT_READY, team="next", facts={})

    threads = [threading.Thread(target=one) for one in (slowly, then)]
    for thread in threads:
        thread.start()
    begun.wait()
    assert every(database) == []
    go_on.set()
    for thread in threads:
        thread.join()
    assert [one.team for one in every(database)] == ["slow", "next"]


def test_webhooks_that_want_an_event_get_a_delivery_with_it(database: Database) -> None:
    with database.session() as session:
        made = {
            (team, kind): webhooks.create(
                session, team=team, by="x", url="https://x.example/", kinds=[kind], form=WebhookForm.SLACK
            ).id
            for team in ("vision", "others")
            for kind in ("evaluation.cancelled", "evaluation.done")
        }
        flow.cancel(session, asked(session))
    with database.session() as session:
        told = session.scalars(select(Delivery.webhook_id)).all()
    assert told == [made["vision", "evaluation.cancelled"]]


def test_watchers_are_told_of_progress_at_most_once_a_second(database: Database) -> None:
    with database.session() as session:
        evaluation = asked(session)
        session.flush()
        job = session.scalars(select(Job).where(Job.evaluation_id == evaluation.id)).one()
        assert job.kind is JobKind.PLAN

    def told() -> bool:
        with database.session() as session:
            before = session.scalar(select(Evaluation.told_at).where(Evaluation.id == evaluation.id))
        with database.session() as session:
            events.tell_progress(session, job.id)
        with database.session() as session:
            after = session.scalar(select(Evaluation.told_at).where(Evaluation.id == evaluation.id))
        return before != after

    assert told()
    assert not told()
    with database.session() as session:
        session.execute(update(Evaluation).values(told_at=NOW - timedelta(seconds=2)))
    assert told()
    with database.session() as session:
        session.execute(update(Evaluation).values(told_at=None, state=EvaluationState.FAILED))
        session.execute(update(Job).values(state=JobState.FAILED))
    assert not told()


def test_old_events_and_entries_are_forgotten_and_no_id_comes_twice(database: Database) -> None:
    def add() -> int:
        with database.session() as session:
            audit.add(session, team="a", by="b", by_admin=False, action="POST /", subject={}, address="")
            return events.add(session, EventKind.CHECKPOINT_READY, team="a", facts={}).id

    ids = [add(), add()]
    with database.session() as session:
        session.execute(update(Event).values(created_at=NOW - events.KEPT - timedelta(minutes=1)))
        session.execute(update(AuditEntry).values(created_at=NOW - timedelta(days=30, minutes=1)))
    forget_old(database, audit_days=31)
    assert [one.id for one in every(database)] == ids[1:]
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 2
    forget_old(database, audit_days=30)
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0
    assert add() == ids[1] + 1


def test_the_json_of_an_event_has_its_page() -> None:
    event = Event(
        id=1,
        created_at=datetime.now(UTC),
        kind=EventKind.EVALUATION_DONE,
        team="a",
        checkpoint_id=None,
        evaluation_id=UUID(int=5),
        facts={},
    )
    assert as_json(event, "https://b.example/")["url"] == f"https://b.example/evaluations/{UUID(int=5)}"
    assert as_json(event)["url"] is None
