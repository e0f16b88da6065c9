"""Compare the predictions of two evaluations, and store their differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Checkpoint, Comparison, ComparisonState
from records.repositories import evaluations
from worker.runner import Out
from worker.tasks.plan import spec_of
from worker.work import Work

STALL_S = 1800.0  # a benchmark of thousands of videos takes minutes without reporting progress


class Needs(NamedTuple):
    """Everything that comparing reads from the database; predictions by benchmark."""

    version: str
    same: bool
    protocol: dict[str, Any]
    first: dict[str, dict[str, Any]]
    second: dict[str, dict[str, Any]]


def compare(work: Work) -> None:
    """Compare two evaluations, and store the differences."""
    needs = work.read(lambda session: _needs(session, work.subject_id))
    out = work.folder / "compared.json"
    work.in_child(
        "compare",
        stall_s=STALL_S,
        first=_to_file(work.folder / "first.json", needs.first),
        second=_to_file(work.folder / "second.json", needs.second),
        same=needs.same,
        protocol=needs.protocol,
        version=needs.version,
        out=Out(out),
    )
    content = json.loads(out.read_text(encoding="utf-8"))

    def write(session: Session) -> None:
        row = session.get_one(Comparison, work.subject_id)
        row.state, row.content, row.finished_at = ComparisonState.DONE, content, NOW

    work.conclude(write)


def _needs(session: Session, comparison_id: UUID) -> Needs:
    comparison = session.get_one(Comparison, comparison_id)
    return Needs(
        version=comparison.version,
        same=_same_weights(comparison.first.checkpoint, comparison.second.checkpoint),
        protocol=comparison.first.protocol.content,
        first=evaluations.predictions(session, comparison.first_id),
        second=evaluations.predictions(session, comparison.second_id),
    )


def _same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether both have the same tensors, form and input. Their files may differ."""
    names = ("weights_sha256", "backbone", "input_spec", "variant")
    if first.weights_sha256 is None or any(getattr(first, name) != getattr(second, name) for name in names):
        return False
    one, other = spec_of(first), spec_of(second)
    return (one.normalisation, one.epsilon, one.bgr) == (other.normalisation, other.epsilon, other.bgr)


def _to_file(path: Path, predictions: dict[str, dict[str, Any]]) -> str:
    path.write_text(json.dumps(predictions), encoding="utf-8")
    return str(path)
