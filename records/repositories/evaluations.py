"""Evaluations: lists and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, undefer

from records.models import (
    ENDED,
    BenchmarkRow,
    Checkpoint,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobState,
    Model,
    PartRow,
    ProtocolRow,
    ScoreRow,
    evaluation_controls,
    evaluation_shards,
)
from records.repositories import jobs, names
from records.repositories.visibility import Visibility
from vcp_core.catalog import readings, versions
from vcp_core.catalog.errors import VcpbenchError


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """Jobs of one kind, as far as an evaluation needs them.

    Attributes:
        kind: What the jobs do.
        counts: Number of jobs by state.
        retries: Attempts beyond the first that crashed or lost their worker.
        error: The newest error of an attempt.
        log_tail: The last lines that this attempt printed.
    """

    kind: str
    counts: dict[JobState, int]
    retries: int
    error: VcpbenchError | None
    log_tail: str | None


def get(
    session: Session, evaluation_id: UUID, visible: Visibility, *, with_results: bool = False
) -> Evaluation | None:
    """Find an evaluation by its id, if the reader sees it."""
    options = [undefer(Evaluation.results)] if with_results else []
    found = session.get(Evaluation, evaluation_id, options=options)
    if found is None:
        return None
    if (model := found.checkpoint.model) is not None:  # read with the evaluation, so this takes no query
        return found if visible.is_seen(model) else None
    seen = select(Evaluation.id).where(Evaluation.id == evaluation_id, visible.controls())
    return found if session.scalar(seen) is not None else None


def between(session: Session, low: UUID, high: UUID, visible: Visibility, limit: int) -> Sequence[Evaluation]:
    """Evaluations whose ids lie in this range and that the reader sees, in the order of their ids."""
    query = select(Evaluation).where(Evaluation.id.between(low, high), visible.all_evaluations())
    return session.scalars(query.order_by(Evaluation.id).limit(limit)).unique().all()


def leaving_jobs(session: Session) -> Evaluation | None:
    """An evaluation that ended and left jobs behind; None if there is none."""
    query = select(Evaluation).where(Evaluation.leaves_jobs).order_by(Evaluation.id).limit(1)
    return session.scalars(query).unique().one_or_none()


def newest_of(session: Session, checkpoint_id: UUID) -> UUID | None:
    """The id of the newest evaluation of a checkpoint."""
    query = select(Evaluation.id).where(Evaluation.checkpoint_id == checkpoint_id)
    return session.scalars(query.order_by(Evaluation.created_at.desc(), Evaluation.id).limit(1)).one_or_none()


def predecessor(session: Session, evaluation: Evaluation) -> Evaluation | None:
    """The result of the checkpoint before, of the same model and on the same board.

    Within a run, that is the one with the next smaller step: people also upload old ones later. If there is
    none, it is the newest that was declared before. Of a file with several networks, only the same counts.
    """
    own, step = evaluation.checkpoint, func.coalesce(evaluation.checkpoint.step, -1)
    of_run = and_(Checkpoint.run.is_not_distinct_from(own.run), Checkpoint.step.is_not(None), step >= 0)
    earlier = case((of_run, Checkpoint.step < step), else_=Checkpoint.created_at < own.created_at)
    newest_first = (case((of_run, Checkpoint.step)).desc().nulls_last(), Checkpoint.created_at.desc())
    query = (
        select(Evaluation)
        .join(Evaluation.checkpoint)
        .where(
            Checkpoint.model_id == own.model_id,
            Checkpoint.id != own.id,
            Checkpoint.prefix.is_not_distinct_from(own.prefix),
            Checkpoint.variant.is_not_distinct_from(own.variant),
            earlier,
            Evaluation.state == EvaluationState.DONE,
            Evaluation.dataset_id == evaluation.dataset_id,
            Evaluation.protocol_hash == evaluation.protocol_hash,
            Evaluation.engine == evaluation.engine,
            ~outdated(),
        )
        .order_by(*newest_first, Evaluation.created_at.desc())
        .limit(1)
    )
    return session.scalars(query).unique().one_or_none()


def these(session: Session, evaluation_ids: Sequence[UUID]) -> list[Evaluation]:
    """These evaluations, in this order, as their rows are now."""
    query = select(Evaluation).where(Evaluation.id.in_(evaluation_ids))
    rows = session.scalars(query, execution_options={"populate_existing": True})
    found = {row.id: row for row in rows.unique()}
    return [found[evaluation_id] for evaluation_id in evaluation_ids]


def load(session: Session, evaluation_ids: Sequence[UUID]) -> Sequence[Evaluation]:
    """Load those of these evaluations that exist, by one query. Then `get` finds them without a query."""
    return session.scalars(select(Evaluation).where(Evaluation.id.in_(evaluation_ids))).unique().all()


def reusable(
    session: Session,
    checkpoint: Checkpoint,
    dataset: DatasetRow,
    protocol_hash: str,
    *,
    begun: bool = False,
) -> Evaluation | None:
    """The evaluation of these weights, videos and numbers by this engine, unless it failed or was cancelled.

    It may wait, be under way or be done. The same videos count as the same dataset.

    Args:
        session: Of the caller.
        checkpoint: The evaluated weights.
        dataset: The videos.
        protocol_hash: The protocol.
        begun: Leave out evaluations that still wait.
    """
    return all_reusable(session, [checkpoint.id], dataset, protocol_hash, begun=begun).get(checkpoint.id)


def all_reusable(
    session: Session,
    checkpoint_ids: Sequence[UUID],
    dataset: DatasetRow,
    protocol_hash: str,
    *,
    begun: bool = False,
) -> dict[UUID, Evaluation]:
    """What `reusable` finds for each of these checkpoints, by the checkpoint's id, in one statement."""
    same = DatasetRow.id == dataset.id
    if dataset.fingerprint is not None:
        same |= DatasetRow.fingerprint == dataset.fingerprint
    ended_badly = (EvaluationState.FAILED, EvaluationState.CANCELLED)
    unwanted = (*ended_badly, EvaluationState.WAITING) if begun else ended_badly
    found = session.scalars(
        select(Evaluation)
        .join(Evaluation.dataset)
        .join(Evaluation.checkpoint)
        .where(
            Evaluation.checkpoint_id.in_(checkpoint_ids),
            same,
            Evaluation.protocol_hash == protocol_hash,
            Evaluation.engine == versions.engine(),
            ~outdated(),
            Evaluation.state.not_in(unwanted),
        )
    )
    return {one.checkpoint_id: one for one in found}


def outdated() -> ColumnElement[bool]:
    """The evaluations whose key scheme has other facts now. The statement must join `Checkpoint`."""
    of_scheme = (
        and_(
            Checkpoint.backbone == backbone, Checkpoint.scheme == scheme, Evaluation.scheme_version != version
        )
        for backbone, scheme, version in readings.renewed()
    )
    return func.coalesce(or_(false(), *of_scheme), false())


def of_checkpoint(session: Session, checkpoint_id: UUID) -> Sequence[Evaluation]:
    """All evaluations of a checkpoint, the oldest first."""
    return _oldest_first(session, select(Evaluation).where(Evaluation.checkpoint_id == checkpoint_id))


def of_dataset(session: Session, dataset_id: UUID) -> Sequence[Evaluation]:
    """All evaluations on a dataset, the oldest first."""
    return _oldest_first(session, select(Evaluation).where(Evaluation.dataset_id == dataset_id))


def needing_shard(session: Session, shard_id: UUID) -> Sequence[Evaluation]:
    """The evaluations that need a shard and have not ended, the oldest first."""
    query = (
        select(Evaluation)
        .join(evaluation_shards, evaluation_shards.c.evaluation_id == Evaluation.id)
        .where(evaluation_shards.c.shard_id == shard_id, Evaluation.state.not_in(ENDED))
    )
    return _oldest_first(session, query)


def completed_by(session: Session, shard_id: UUID) -> Sequence[Evaluation]:
    """The running evaluations that need a finished shard, and whose other shards are finished, too."""
    query = (
        select(Evaluation)
        .join(evaluation_shards, evaluation_shards.c.evaluation_id == Evaluation.id)
        .where(
            evaluation_shards.c.shard_id == shard_id,
            Evaluation.state == EvaluationState.RUNNING,
            jobs.missing_shard(Evaluation.id).scalar_subquery().is_(None),
        )
    )
    return _oldest_first(session, query)


def needing_control(session: Session, control: Evaluation) -> Sequence[Evaluation]:
    """The evaluations that need this one as their control and have not ended, the oldest first."""
    query = (
        select(Evaluation)
        .join(evaluation_controls, evaluation_controls.c.evaluation_id == Evaluation.id)
        .where(evaluation_controls.c.control_id == control.id, Evaluation.state.not_in(ENDED))
    )
    return _oldest_first(session, query)


def any_live_on(session: Session, dataset: DatasetRow) -> bool:
    """Whether an evaluation on this dataset has not ended."""
    live = exists().where(Evaluation.dataset_id == dataset.id, Evaluation.state.not_in(ENDED))
    return bool(session.scalar(select(live)))


def _oldest_first(session: Session, query: Select[Evaluation]) -> Sequence[Evaluation]:
    return session.scalars(query.order_by(Evaluation.created_at)).all()


def by_other_versions(
    session: Session, fingerprint: str, protocol_hash: str, *, engine: str | None
) -> list[UUID]:
    """The newest finished evaluation of each uploaded checkpoint by other versions, the oldest first.

    Args:
        session: Of the caller.
        fingerprint: Fingerprint of the videos.
        protocol_hash: The protocol.
        engine: Only evaluations by this engine. None is every engine but the current one, and what the
            current one made under an older version of the checkpoint's key scheme.
    """
    others = or_(Evaluation.engine != versions.engine(), outdated())
    made_by = Evaluation.engine == engine if engine else others
    order = (Evaluation.created_at.desc(), Evaluation.id)
    position = func.row_number().over(partition_by=Evaluation.checkpoint_id, order_by=order).label("position")
    query = (
        select(Evaluation.id, Evaluation.created_at, position)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(
            Evaluation.is_control.is_(False),
            Evaluation.state == EvaluationState.DONE,
            DatasetRow.fingerprint == fingerprint,
            Evaluation.protocol_hash == protocol_hash,
            made_by,
        )
        .subquery()
    )
    newest = select(query.c.id).where(query.c.position == 1)
    return list(session.scalars(newest.order_by(query.c.created_at, query.c.id)))


def page(
    session: Session,
    *,
    visible: Visibility,
    state: EvaluationState | None = None,
    model: str | None = None,
    team: str | None = None,
    dataset: str | None = None,
    protocol: str | None = None,
    checkpoint_id: UUID | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[Sequence[Evaluation], int]:
    """Evaluations of uploaded checkpoints, newest first, and how many there are.

    Args:
        session: Of the caller.
        visible: What the reader sees.
        state: Only in this state.
        model: Only of the model that has this name or had it.
        team: Only of this team.
        dataset: Only on this dataset, by its name or its fingerprint. A name also finds evaluations of
            earlier videos of that name.
        protocol: Only under this protocol, by its name or hash.
        checkpoint_id: Only of this checkpoint.
        limit: Rows of a page.
        offset: Rows before it.
    """
    query: Select[Any] = (
        select(Evaluation)
        .join(Checkpoint, Evaluation.checkpoint_id == Checkpoint.id)
        .join(Model, Checkpoint.model_id == Model.id)
        .join(DatasetRow, Evaluation.dataset_id == DatasetRow.id)
        .join(ProtocolRow, Evaluation.protocol_hash == ProtocolRow.hash)
        .where(Evaluation.is_control.is_(False), visible.models())
    )
    wanted = {
        Evaluation.state: state,
        Model.team: team,
        Checkpoint.id: checkpoint_id,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if model is not None:
        query = query.where(names.is_called(model))
    if dataset is not None:
        query = query.where(or_(DatasetRow.name == dataset, DatasetRow.fingerprint == dataset))
    if protocol is not None:
        query = query.where(or_(ProtocolRow.name == protocol, ProtocolRow.hash == protocol))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Evaluation.created_at.desc(), Evaluation.id)
    return session.scalars(ordered.limit(limit).offset(offset)).unique().all(), total


def scores(session: Session, evaluation_ids: Sequence[UUID]) -> Mapping[UUID, list[ScoreRow]]:
    """Scores by evaluation."""
    found: dict[UUID, list[ScoreRow]] = {evaluation_id: [] for evaluation_id in evaluation_ids}
    wanted = select(ScoreRow).where(ScoreRow.evaluation_id.in_(evaluation_ids))
    for row in session.scalars(wanted.order_by(ScoreRow.metric)):
        found[row.evaluation_id].append(row)
    return found


def replace_scores(
    session: Session,
    evaluation_id: UUID,
    scores: Sequence[Mapping[str, Any]],
    benchmarks: Sequence[Mapping[str, Any]],
) -> None:
    """Write an evaluation's scores and predictions, and delete those of an earlier attempt.

    Args:
        session: Of the caller.
        evaluation_id: The scored evaluation.
        scores: Columns of `ScoreRow`.
        benchmarks: Columns of `BenchmarkRow`.
    """
    for table, rows in ((ScoreRow, scores), (BenchmarkRow, benchmarks)):
        session.execute(delete(table).where(table.evaluation_id == evaluation_id))
        if rows:
            session.execute(insert(table), rows)


def add_parts(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what a fit job found until the evaluation is scored; `rows` are columns of `PartRow`."""
    session.execute(insert(PartRow), rows)


def parts(session: Session, evaluation_id: UUID) -> Sequence[PartRow]:
    """What an evaluation's fit jobs found."""
    query = select(PartRow).where(PartRow.evaluation_id == evaluation_id)
    return session.scalars(query.order_by(PartRow.part)).all()


def forget_parts(session: Session, evaluation_id: UUID) -> None:
    """Delete what an evaluation's fit jobs found."""
    session.execute(delete(PartRow).where(PartRow.evaluation_id == evaluation_id))


def predictions(session: Session, evaluation_id: UUID) -> dict[str, dict[str, Any]]:
    """Per-video outcomes, by benchmark."""
    rows = session.scalars(select(BenchmarkRow).where(BenchmarkRow.evaluation_id == evaluation_id))
    return {row.benchmark: row.predictions for row in rows}


def predictions_text(session: Session, evaluation_id: UUID, benchmark: str) -> str | None:
    """Per-video outcomes of one benchmark as the JSON that is stored; None if there are none."""
    where = (BenchmarkRow.evaluation_id == evaluation_id, BenchmarkRow.benchmark == benchmark)
    return session.scalars(select(cast(BenchmarkRow.predictions, Text)).where(*where)).one_or_none()


def answered(session: Session, evaluation_id: UUID) -> Sequence[str]:
    """The benchmarks of which an evaluation has answers."""
    query = select(BenchmarkRow.benchmark).where(BenchmarkRow.evaluation_id == evaluation_id)
    return session.scalars(query.order_by(BenchmarkRow.benchmark)).all()


def fits(session: Session, evaluation_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    """How the probes were fitted (`vcp_core.results.types.Fit`), by benchmark, without the answers."""
    rows = session.execute(
        select(BenchmarkRow.benchmark, BenchmarkRow.predictions["fits"])
        .where(BenchmarkRow.evaluation_id == evaluation_id)
        .order_by(BenchmarkRow.benchmark)
    )
    return [(benchmark, fit) for benchmark, found in rows for fit in found or ()]


def job_lines(session: Session, evaluation: Evaluation) -> list[JobLine]:
    """Count the jobs of an evaluation and its controls by kind, in the order of their creation."""
    everyone = [evaluation, *evaluation.controls]
    needed = jobs.needed_by(
        [one.id for one in everyone],
        checkpoint_ids=[one.checkpoint_id for one in everyone],
        dataset_id=evaluation.dataset_id,
    )
    newest = (Job.created_at.desc(), Job.id.desc())
    last = [
        func.array_agg(aggregate_order_by(column, *newest), type_=ARRAY(column.type))
        for column in (Job.error, Job.log_tail)
    ]
    query = (
        select(
            Job.kind,
            Job.state,
            func.count(),
            func.sum(Job.crashes + Job.outages + Job.losses),
            func.max(Job.created_at).filter(Job.error.is_not(None)),
            *(one.filter(Job.error.is_not(None))[1] for one in last),
        )
        .where(Job.id.in_(needed))
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
