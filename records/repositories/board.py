"""What the board's pages read: plain tuples, because thousands of mapped objects take longer than their page.

The facts of a page's rows and their numbers are a statement each, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
from sqlalchemy import ARRAY, String, Uuid, bindparam, exists, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased

from records.models import (
    Checkpoint,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobState,
    Model,
    ProtocolRow,
    ScoreRow,
    evaluation_shards,
)
from vcp_core.catalog.versions import engine

DONE = Evaluation.state == EvaluationState.DONE


class Number(NamedTuple):
    """A score's columns; as in `vcp_core.results.Score`."""

    value: float
    low: float
    high: float
    chance: float | None
    control: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None


class Facts(NamedTuple):
    """Whose evaluation it is."""

    evaluation: UUID
    model: str | None
    team: str | None
    backbone: str | None
    run: str | None
    step: int | None
    seed: int | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Named:
    """A board that has results.

    Attributes:
        dataset: Its name; the one that it had, where it has none now.
        own_name: What the catalog calls it; None where it has no name for it.
        fingerprint: Of its videos.
        protocol: Its name.
        hash: Of the protocol.
        engine: That made the results.
        num_results: Finished evaluations, controls not counted.
        superseded: Whether no dataset of a name has these videos any more.
    """

    dataset: str
    own_name: str | None
    fingerprint: str
    protocol: str
    hash: str
    engine: str
    num_results: int
    superseded: bool

    @property
    def older(self) -> bool:
        """Whether another version made its results."""
        return self.engine != engine()

    @property
    def key(self) -> str:
        """What an address calls its dataset: other videos may have the name of those that lost it."""
        return self.fingerprint if self.superseded else self.dataset


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """Jobs of one kind, as far as an evaluation needs them.

    Attributes:
        kind: What they do.
        counts: How many are in which state.
        retries: Attempts beyond the first that crashed or lost their worker.
        error: What went wrong last.
        log_tail: What that attempt printed last.
    """

    kind: str
    counts: dict[JobState, int]
    retries: int
    error: str | None
    log_tail: str | None


def boards(session: Session) -> list[Named]:
    """Boards with results.

    First come those of datasets that have a name now, and of these those by this engine. The one with the
    newest result is before others.
    """
    named = aliased(DatasetRow)
    name = func.coalesce(named.name, func.max(DatasetRow.name))
    superseded = named.name.is_(None)
    query = (
        select(
            name,
            func.max(DatasetRow.own_name),
            DatasetRow.fingerprint,
            ProtocolRow.name,
            ProtocolRow.hash,
            Evaluation.engine,
            func.count(Evaluation.id),
            superseded,
        )
        .select_from(Evaluation)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .outerjoin(named, (named.fingerprint == DatasetRow.fingerprint) & named.retired_at.is_(None))
        .join(ProtocolRow, ProtocolRow.hash == Evaluation.protocol_hash)
        .where(Evaluation.is_control.is_(False), DONE)
        .group_by(named.name, DatasetRow.fingerprint, ProtocolRow.name, ProtocolRow.hash)
        .group_by(Evaluation.engine)
        .order_by(superseded, Evaluation.engine != engine())
        .order_by(func.max(Evaluation.finished_at).desc().nulls_last(), name, ProtocolRow.name)
    )
    return [
        Named(
            dataset=dataset,
            own_name=own_name,
            fingerprint=print_ or "",
            protocol=protocol,
            hash=hash_,
            engine=made_by,
            num_results=number,
            superseded=old,
        )
        for dataset, own_name, print_, protocol, hash_, made_by, number, old in session.execute(query)
    ]


def facts(session: Session, evaluations: Sequence[UUID]) -> dict[UUID, Facts]:
    """Whose these evaluations are."""
    return {row.evaluation: row for row in _facts(session, Evaluation.id == _any(evaluations))}


def controls(session: Session, fingerprint: str, protocol_hash: str, made_by: str) -> list[Facts]:
    """Finished evaluations of random weights under the board's conditions."""
    found = _facts(
        session,
        Evaluation.is_control.is_(True)
        & DONE
        & (DatasetRow.fingerprint == fingerprint)
        & (Evaluation.protocol_hash == protocol_hash)
        & (Evaluation.engine == made_by),
    )
    return sorted(found, key=lambda row: (row.backbone or "", row.seed or 0))


def _facts(session: Session, which: Any) -> list[Facts]:
    query = (
        select(
            Evaluation.id,
            Model.name,
            Model.team,
            Checkpoint.backbone,
            Checkpoint.run,
            Checkpoint.step,
            Checkpoint.seed,
            Evaluation.finished_at,
        )
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .outerjoin(Model, Model.id == Checkpoint.model_id)
        .where(which)
    )
    return [Facts._make(row) for row in session.connection().execute(query)]


NUMBERS = f"""
SELECT evaluation_id, metric, {", ".join(Number._fields)}
FROM score WHERE evaluation_id = ANY(%s) AND metric = ANY(%s)
"""  # noqa: S608 - of names of columns


def numbers(
    session: Session, evaluations: Iterable[UUID], metrics: Iterable[str]
) -> dict[UUID, dict[str, Number]]:
    """These metrics of these evaluations, for each by the metric's name."""
    found: dict[UUID, dict[str, Number]] = {}
    # Binary, past SQLAlchemy: reading 128,000 numbers from their digits takes 70 ms of CPU, so it takes 20.
    driver: psycopg.Connection[Any] = cast(Any, session.connection().connection.driver_connection)
    with driver.cursor(binary=True) as cursor:
        cursor.execute(NUMBERS, (list(evaluations), list(metrics)))
        for evaluation, metric, *columns in cursor.fetchall():
            found.setdefault(evaluation, {})[metric] = Number._make(columns)
    return found


def _any(evaluations: Iterable[UUID]) -> Any:
    """One array, where IN would make two thousand parameters of two thousand ids."""
    return func.any(bindparam(None, list(evaluations), type_=ARRAY(Uuid())))


def metrics(session: Session, fingerprint: str, protocol_hash: str, made_by: str) -> list[str]:
    """Metrics that a board's columns can show: those of its newest evaluations."""
    newest = (
        select(Evaluation.id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(DONE, DatasetRow.fingerprint == fingerprint, Evaluation.protocol_hash == protocol_hash)
        .where(Evaluation.engine == made_by)
        .order_by(Evaluation.finished_at.desc().nulls_last())
        .limit(20)  # of a large board, all would take longer than the rest of the page
    )
    query = select(ScoreRow.metric).where(ScoreRow.evaluation_id.in_(newest.scalar_subquery()))
    return sorted(session.scalars(query.distinct()))


def choices(session: Session, fingerprint: str, protocol_hash: str, made_by: str) -> dict[str, list[str]]:
    """Teams, backbones and runs that a board can be filtered by."""
    query = (
        select(Model.team, Checkpoint.backbone, Checkpoint.run)
        .select_from(Evaluation)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Model, Model.id == Checkpoint.model_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(DONE, DatasetRow.fingerprint == fingerprint, Evaluation.protocol_hash == protocol_hash)
        .where(Evaluation.engine == made_by)
        .distinct()
    )
    rows = session.execute(query).all()
    names = ("team", "backbone", "run")
    return {name: sorted({str(row[place]) for row in rows if row[place]}) for place, name in enumerate(names)}


def job_lines(session: Session, evaluation: Evaluation) -> list[JobLine]:
    """What has been done and is to be done for an evaluation and its controls, by kind, in order of birth."""
    everyone = [evaluation, *evaluation.controls]
    ids = [one.id for one in everyone]
    needed = exists().where(
        evaluation_shards.c.shard_id == Job.shard_id, evaluation_shards.c.evaluation_id.in_(ids)
    )
    newest = (Job.created_at.desc(), Job.id.desc())
    last = [aggregate_order_by(column, *newest) for column in (Job.error, Job.log_tail)]
    query = (
        select(
            Job.kind,
            Job.state,
            func.count(),
            func.sum(Job.crashes + Job.outages + Job.losses),
            func.max(Job.created_at).filter(Job.error.is_not(None)),
            *(func.array_agg(one, type_=ARRAY(String)).filter(Job.error.is_not(None))[1] for one in last),
        )
        .where(
            or_(
                Job.evaluation_id.in_(ids),
                Job.checkpoint_id.in_([one.checkpoint_id for one in everyone]),
                Job.dataset_id == evaluation.dataset_id,
                needed,
            )
        )
        .group_by(Job.kind, Job.state)
        .order_by(func.min(Job.created_at))
    )
    lines: dict[str, JobLine] = {}
    errors: dict[str, datetime] = {}
    for kind, state, number, retries, failed_at, error, log_tail in session.execute(query):
        line = lines.get(kind) or JobLine(kind=kind.value, counts={}, retries=0, error=None, log_tail=None)
        newer = failed_at is not None and (kind not in errors or failed_at > errors[kind])
        if newer:
            errors[kind] = failed_at
        lines[kind] = JobLine(
            kind=line.kind,
            counts={**line.counts, state: number},
            retries=line.retries + retries,
            error=error if newer else line.error,
            log_tail=log_tail if newer else line.log_tail,
        )
    return list(lines.values())
