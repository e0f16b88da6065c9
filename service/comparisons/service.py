"""Compare two evaluations: read a stored comparison, or ask a worker to make it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records.models import Comparison, ComparisonState, Evaluation, JobState
from records.repositories import comparisons, locks
from service import room
from service.auth import Caller
from service.comparisons.schemas import ComparisonOut, ComparisonProgress
from service.evaluations import named
from service.evaluations.service import check_done, detail, difference
from service.evaluations.waiting import comparing
from service.limits import MAX_LIVE_COMPARISONS, MAX_LIVE_COMPARISONS_OF_MANY
from service.problems import Conflict
from service.reasons import text_for
from vcp_core.scoring.stored_comparison import COMPARED_VERSION, Compared

MOST = 0.999  # largest fraction of a comparison that is not done; 1 means done


def ask(session: Session, first: str, second: str, reader: Caller | None = None) -> ComparisonOut:
    """Compare the second evaluation with the first, paired by video. A worker makes a missing comparison.

    Raises:
        NotFound: If an evaluation does not exist.
        Conflict: If one is not done, or their datasets, protocols or engines differ.
        TooMany: If the comparison is new, and too many of the reader's team are under way.
    """
    one, other = (named.find(session, wanted, reader, with_results=True) for wanted in (first, second))
    return compare(session, one, other, reader)


def compare(session: Session, one: Evaluation, other: Evaluation, reader: Caller | None) -> ComparisonOut:
    """Compare two evaluations that the caller of this function has found; as `ask`."""
    _check(one, other, reader)
    found = _found_or_made(session, one, other, reader.team if reader else None)
    return _shown(session, found, one, other, reader)


def _found_or_made(session: Session, one: Evaluation, other: Evaluation, team: str | None) -> Comparison:
    found = comparisons.find(session, one.id, other.id, version=COMPARED_VERSION)
    if found is None:
        locks.take(session, comparisons.live_lock(team))
        found = comparisons.find(session, one.id, other.id, version=COMPARED_VERSION)  # another's, by now
    if found is None:
        check_room(session, team)
        found = comparisons.make(session, one.id, other.id, version=COMPARED_VERSION, team=team)
    return found


def check_room(session: Session, team: str | None, *, many: bool = False) -> None:
    """Make sure that one more comparison of the team may wait: of two evaluations, or with `many` of many.

    Raises:
        TooMany: If as many as allowed are under way.
    """
    what = "comparisons of many evaluations" if many else "comparisons"
    allowed = MAX_LIVE_COMPARISONS_OF_MANY if many else MAX_LIVE_COMPARISONS
    room.check(comparisons.live(session, team, many=many), team, what=what, allowed=allowed)


def _check(one: Evaluation, other: Evaluation, reader: Caller | None) -> None:
    for evaluation in (one, other):
        check_done(evaluation, reader)
    if found := difference(one, other):
        what, its, others = found
        raise Conflict(
            f"The evaluations differ in {what}: {its} and {others}. "
            "A comparison needs the same on both sides."
        )


def _shown(
    session: Session, found: Comparison, one: Evaluation, other: Evaluation, reader: Caller | None
) -> ComparisonOut:
    job = comparisons.job_of(session, found)
    running = found.state is ComparisonState.WAITING and job is not None and job.state is JobState.RUNNING
    done = job.done / job.total if job is not None and job.total else 0.0
    stands = comparing(session, found, reader)
    content = Compared.model_validate(found.content) if found.content is not None else None
    return ComparisonOut(
        state="running" if running else found.state.value,
        reason=text_for(found.reason, reader, one.dataset),
        waiting_for=stands.waiting_for,
        progress=ComparisonProgress(fraction=1.0 if content else min(done, MOST), stage=stands.stage),
        first=detail(session, one, reader),
        second=detail(session, other, reader),
        differences=list(content.differences) if content else [],
        notes=list(content.notes) if content else [],
    )
