"""Rows that workers would write: ready checkpoints, indexed datasets, evaluations with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from records.db import NOW, Database
from records.models import (
    BenchmarkRow,
    Checkpoint,
    CheckpointState,
    Comparison,
    ComparisonState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobState,
    Origin,
    ScoreRow,
)
from records.repositories import checkpoints, datasets, evaluations, many_comparisons
from tests.served import sha256
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.results.types import Predictions
from vcp_core.scoring.stored_comparison import COMPARED_VERSION, compare_and_note
from vcp_core.scoring.stored_many import compare_all

HEADLINE = "recognition.top1"


def ready_checkpoint(
    session: Session,
    model: str = "tiny",
    *,
    team: str = "default",
    state: CheckpointState = CheckpointState.READY,
    **facts: Any,
) -> Checkpoint:
    found = Checkpoint(
        model=checkpoints.model_of(session, team, model),
        origin=Origin.UPLOAD,
        state=state,
        size_bytes=3,
        sha256=sha256(f"{model} {facts}".encode()),
        backbone="r3d_tiny",
        **facts,
    )
    session.add(found)
    session.flush()
    return found


def ready_dataset(
    session: Session, name: str = "gestures", fingerprint: str | None = None, own_name: str | None = None
) -> DatasetRow:
    found = DatasetRow(
        name=name,
        own_name=own_name,
        source={"name_or_path": name if name in DATASETS and DATASETS[name].built_in else "/videos"},
        state=DatasetState.READY,
        fingerprint=fingerprint or f"fingerprint of {name}",
    )
    session.add(found)
    session.flush()
    return found


def score(evaluation_id: UUID, metric: str, value: float) -> ScoreRow:
    return ScoreRow(
        evaluation_id=evaluation_id,
        metric=metric,
        benchmark=metric.split(".")[0],
        value=value,
        low=value - 1,
        high=value + 1,
        num_videos=12,
        num_units=12,
        units="video",
        headline=metric == HEADLINE,
    )


def done(
    session: Session,
    checkpoint: Checkpoint,
    dataset: DatasetRow,
    values: Mapping[str, float],
    *,
    protocol: Protocol = PROTOCOLS["quick-v1"],
    predictions: Sequence[Predictions] = (),
    **facts: Any,
) -> Evaluation:
    """An evaluation that is done, with these values."""
    row = datasets.keep_protocol(session, protocol)
    assert row is not None
    warnings = [f"of {one.benchmark}" for one in predictions]
    found = Evaluation(
        checkpoint_id=checkpoint.id,
        dataset_id=dataset.id,
        protocol_hash=row.hash,
        team=checkpoint.model.team if checkpoint.model else "default",
        is_control=False,
        state=EvaluationState.DONE,
        finished_at=datetime.now(UTC),  # no two results of any test came at the same time
        results={
            "benchmarks": [{"benchmark": one.benchmark, "warnings": ["of it"]} for one in predictions],
            "warnings": warnings,
            "provenance": {
                "dataset": {"name": dataset.name, "split": "1", "fingerprint": dataset.fingerprint},
                "pretrained_on": checkpoint.pretrained_on,
            },
        },
    )
    for name, value in facts.items():
        setattr(found, name, value)
    session.add(found)
    session.flush()
    session.add_all(score(found.id, metric, value) for metric, value in values.items())
    session.add_all(
        BenchmarkRow(evaluation_id=found.id, benchmark=one.benchmark, predictions=one.model_dump(mode="json"))
        for one in predictions
    )
    session.flush()
    return found


def compare_waiting(database: Database) -> None:
    """Make the comparisons that wait, and end their jobs."""
    with database.session() as session:
        waiting = select(Comparison).where(Comparison.state == ComparisonState.WAITING)
        for row in session.scalars(waiting).all():
            compare_now(session, row)
            job = update(Job).where(Job.comparison_id == row.id)
            session.execute(job.values(state=JobState.DONE, finished_at=NOW))


def compare_now(session: Session, row: Comparison) -> None:
    """Write what a worker would."""
    if row.second_id is None:
        return compare_many_now(session, row)
    first, second = (_predictions(session, one) for one in (row.first_id, row.second_id))
    found = compare_and_note(first, second, Protocol.model_validate(row.first.protocol.content))
    row.content, row.state = found.model_dump(mode="json"), ComparisonState.DONE
    row.finished_at = NOW


def compare_many_now(session: Session, row: Comparison) -> None:
    """Write what a worker would, of many evaluations."""
    ids = [one.id for one in row.members]
    found = [_predictions(session, one) for one in ids]
    protocol = Protocol.model_validate(row.first.protocol.content)
    names = [str(one) for one in ids]
    made = compare_all(found.__getitem__, names, ids.index(row.first_id), protocol)
    pairs = {ids[place]: one.model_dump(mode="json") for place, one in made.pairs.items()}
    many_comparisons.keep_pairs(session, row.first_id, pairs, version=COMPARED_VERSION)
    row.content, row.state = made.many.model_dump(mode="json"), ComparisonState.DONE
    row.finished_at = NOW


def _predictions(session: Session, evaluation_id: UUID) -> dict[str, Predictions]:
    found = evaluations.predictions(session, evaluation_id)
    return {name: Predictions.model_validate(one) for name, one in found.items()}
