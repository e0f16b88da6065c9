"""Compare many evaluations with a baseline and in all pairs, and store the differences."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Checkpoint, Comparison, ComparisonState
from records.repositories import evaluations, many_comparisons
from vcp_core.scoring.stored_comparison import COMPARED_VERSION
from worker.runner import Out
from worker.tasks.plan import spec_of
from worker.work import Work

STALL_S = 1800.0  # far more than one pair takes (bench/comparing.py); progress is reported after each


class Needs(NamedTuple):
    """Everything that comparing many reads from the database, but for their predictions.

    Attributes:
        version: Version of the rules.
        ids: Ids of the evaluations, in the order of the stored comparison.
        baseline: Place of the baseline among them.
        same: Pairs of places whose checkpoints are the same weights with the same input.
        protocol: The protocol of all.
        known: Comparisons with the baseline that are there already, by place.
        matrices: All pairs, if they are there from a comparison with another baseline.
    """

    version: str
    ids: list[UUID]
    baseline: int
    same: list[tuple[int, int]]
    protocol: dict[str, Any]
    known: dict[int, dict[str, Any]]
    matrices: list[dict[str, Any]] | None


def compare_many(work: Work) -> None:
    """Compare many evaluations, and store the differences."""
    needs = work.read(lambda session: _needs(session, work.subject_id))
    out = work.folder / "compared.json"
    work.in_child(
        "compare_many",
        stall_s=STALL_S,
        predictions=[_predictions(work, evaluation_id) for evaluation_id in needs.ids],
        ids=[str(evaluation_id) for evaluation_id in needs.ids],
        baseline=needs.baseline,
        same=needs.same,
        protocol=needs.protocol,
        version=needs.version,
        known=work.to_file("known", {"pairs": needs.known, "matrices": needs.matrices}),
        out=Out(out),
    )
    found = json.loads(out.read_text(encoding="utf-8"))
    pairs = {needs.ids[int(place)]: content for place, content in found["pairs"].items()}
    baseline_id = needs.ids[needs.baseline]
    # Comparisons of two are whole by themselves, so they need no lock of the flow.
    work.prepare(
        lambda session: many_comparisons.keep_pairs(session, baseline_id, pairs, version=COMPARED_VERSION)
    )

    def write(session: Session) -> None:
        row = session.get_one(Comparison, work.subject_id)
        row.state, row.content, row.finished_at = ComparisonState.DONE, found["many"], NOW

    work.conclude(write)


def _needs(session: Session, comparison_id: UUID) -> Needs:
    comparison = session.get_one(Comparison, comparison_id)
    members = comparison.members
    ids = [member.id for member in members]
    others = [one for one in ids if one != comparison.first_id]
    known = many_comparisons.with_baseline(session, comparison.first_id, others, version=COMPARED_VERSION)
    sibling = many_comparisons.with_same_members(session, comparison)
    return Needs(
        version=comparison.version,
        ids=ids,
        baseline=ids.index(comparison.first_id),
        same=[
            (one, other)
            for one, other in itertools.permutations(range(len(members)), 2)
            if same_weights(members[one].checkpoint, members[other].checkpoint)
        ],
        protocol=comparison.first.protocol.content,
        known={ids.index(second_id): content for second_id, content in known.items()},
        matrices=None if sibling is None else sibling["matrices"],
    )


def _predictions(work: Work, evaluation_id: UUID) -> str:
    """Write an evaluation's predictions into a file. One is in memory at a time."""
    found = work.read(lambda session: evaluations.predictions(session, evaluation_id))
    return work.to_file(f"{evaluation_id}", found)


def same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether both have the same tensors, form and input. Their files may differ."""
    names = ("weights_sha256", "backbone", "input_spec", "variant")
    if first.weights_sha256 is None or any(getattr(first, name) != getattr(second, name) for name in names):
        return False
    one, other = spec_of(first), spec_of(second)
    return (one.normalisation, one.epsilon, one.bgr) == (other.normalisation, other.epsilon, other.bgr)
