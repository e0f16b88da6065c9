"""Compare the predictions of two evaluations, or of many, and store their differences."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Comparison, ComparisonState
from records.repositories import evaluations
from worker.runner import Out
from worker.tasks.compare_many import compare_many, same_weights
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
    """Compare two evaluations or many, and store the differences."""
    is_of_many = work.read(lambda session: session.get_one(Comparison, work.subject_id).second_id is None)
    (compare_many if is_of_many else _compare_two)(work)


def _compare_two(work: Work) -> None:
    needs = work.read(lambda session: _needs(session, work.subject_id))
    out = work.folder / "compared.json"
    work.in_child(
        "compare",
        stall_s=STALL_S,
        first=work.to_file("first", needs.first),
        second=work.to_file("second", needs.second),
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
    assert comparison.second is not None
    assert comparison.second_id is not None
    return Needs(
        version=comparison.version,
        same=same_weights(comparison.first.checkpoint, comparison.second.checkpoint),
        protocol=comparison.first.protocol.content,
        first=evaluations.predictions(session, comparison.first_id),
        second=evaluations.predictions(session, comparison.second_id),
    )
