"""Tell what happened: make events of checkpoints, evaluations and gates, and their JSON.

Callers write an event in the transaction of the change that it tells of (`records.repositories.events`).
"""

from __future__ import annotations

from datetime import UTC
from pathlib import PurePath
from typing import Any

from sqlalchemy.orm import Session

from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Event,
    EventKind,
    ScoreRow,
)
from records.repositories import evaluations, events
from vcp_core.catalog.errors import Show, VcpbenchError, below
from vcp_core.catalog.locations import folder_of

MOST_REASON = 1000  # characters
_KINDS = {
    EvaluationState.DONE: EventKind.EVALUATION_DONE,
    EvaluationState.FAILED: EventKind.EVALUATION_FAILED,
    EvaluationState.CANCELLED: EventKind.EVALUATION_CANCELLED,
}


def checkpoint_ended(session: Session, checkpoint: Checkpoint) -> None:
    """Tell that a checkpoint is ready or was rejected. Random weights have no team to tell."""
    if checkpoint.model is None:
        return
    ready = checkpoint.state is CheckpointState.READY
    events.add(
        session,
        EventKind.CHECKPOINT_READY if ready else EventKind.CHECKPOINT_REJECTED,
        team=checkpoint.model.team,
        checkpoint_id=checkpoint.id,
        facts=_facts_of(checkpoint) | _reason(None if ready else checkpoint.reason, None),
    )


def evaluation_ended(session: Session, evaluation: Evaluation) -> None:
    """Tell that an evaluation is done, failed or was cancelled. Nobody is told of a control's end."""
    if evaluation.is_control:
        return
    facts = facts_of(session, evaluation)
    events.add(
        session,
        _KINDS[evaluation.state],
        team=evaluation.team,
        checkpoint_id=evaluation.checkpoint_id,
        evaluation_id=evaluation.id,
        facts=facts,
    )
    if evaluation.state is EvaluationState.DONE:
        _tell_drop(session, evaluation, facts)


def _tell_drop(session: Session, evaluation: Evaluation, facts: dict[str, Any]) -> None:
    """Tell if main scores are worse than those of the model's checkpoint before, beyond both intervals.

    Args:
        session: Of the change.
        evaluation: It is done.
        facts: What `facts_of` says of it.
    """
    before = evaluations.predecessor(session, evaluation)
    if before is None:
        return
    rows = evaluations.scores(session, [evaluation.id, before.id])
    old = {row.metric: row for row in rows[before.id]}
    drops = {
        row.metric: {**_number(row), "before": _number(old[row.metric])}
        for row in rows[evaluation.id]
        if row.headline and row.metric in old and _is_worse(row, old[row.metric])
    }
    if not drops:
        return
    named = {name: value for name, value in facts.items() if name != "scores"}
    events.add(
        session,
        EventKind.MODEL_DROPPED,
        team=evaluation.team,
        checkpoint_id=evaluation.checkpoint_id,
        evaluation_id=evaluation.id,
        facts={
            **named,
            "before": {"evaluation": str(before.id), **_place(before.checkpoint)},
            "drops": drops,
        },
    )


def _is_worse(new: ScoreRow, old: ScoreRow) -> bool:
    return new.high < old.low if new.better == "higher" else new.low > old.high


def _number(row: ScoreRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("value", "low", "high", "unit")}


def state_changed(session: Session, evaluation: Evaluation) -> None:
    """Let watchers look at an evaluation that is in another state, which is not its end."""
    events.notify(session, str(evaluation.id))


def facts_of(session: Session, evaluation: Evaluation) -> dict[str, Any]:
    """What an event says of an evaluation: names, the reason of its end, and its main scores."""
    rows = evaluations.scores(session, [evaluation.id])[evaluation.id]
    scores = {row.metric: _number(row) for row in rows if row.headline}
    return {
        **_facts_of(evaluation.checkpoint),
        "dataset": evaluation.dataset.name,
        "protocol": evaluation.protocol.name,
        **({"scores": scores} if scores else {}),
        **_reason(evaluation.reason, evaluation.dataset),
    }


def as_json(event: Event, base: str = "") -> dict[str, Any]:
    """The event as watchers and receivers get it.

    Args:
        event: What happened.
        base: The address of the service for readers; without one, the event has no `url`.
    """
    path = None if event.evaluation_id is None else f"/evaluations/{event.evaluation_id}"
    return {
        "id": event.id,
        "kind": event.kind.value,
        "at": event.created_at.astimezone(UTC).isoformat(),
        "team": event.team,
        "checkpoint": None if event.checkpoint_id is None else str(event.checkpoint_id),
        "evaluation": None if event.evaluation_id is None else str(event.evaluation_id),
        "url": base.rstrip("/") + path if base and path else None,
        "facts": event.facts,
    }


def for_its_team(dataset: DatasetRow | None) -> Show:
    """The form in which a team that does not operate the installation sees paths: no folder of the operators.

    A path in the dataset begins with the dataset's name, and any other is only its last part.
    """
    source = {} if dataset is None else dataset.source
    folders = (folder_of(str(source.get("name_or_path") or "")), source.get("lists"))
    return below({PurePath(folder): dataset.name for folder in folders if folder and dataset})


def _facts_of(checkpoint: Checkpoint) -> dict[str, Any]:
    model = checkpoint.model
    named = {} if model is None else {"model": model.name}
    backbone = {} if checkpoint.backbone is None else {"backbone": checkpoint.backbone}
    return named | _place(checkpoint) | backbone


def _place(checkpoint: Checkpoint) -> dict[str, Any]:
    """Where the checkpoint stands in a training run, as far as somebody said so."""
    said = {"run": checkpoint.run, "step": checkpoint.step}
    return {name: value for name, value in said.items() if value is not None}


def _reason(error: VcpbenchError | None, dataset: DatasetRow | None) -> dict[str, str]:
    return {} if error is None else {"reason": error.text(for_its_team(dataset))[:MOST_REASON]}
