"""Compare many evaluations: read a stored comparison, or ask a worker to make it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow
from records.models import Comparison, ComparisonState, Deleted, Evaluation, JobState
from records.repositories import comparisons, evaluations, locks, many_comparisons
from service import gone
from service.auth import Caller
from service.comparisons.many_schemas import LEAST, ManyOut, MatrixOut, PairOut, WithBaseline
from service.comparisons.schemas import ComparisonProgress
from service.comparisons.service import MOST as MOST_UNDONE
from service.comparisons.service import check_room
from service.evaluations import named
from service.evaluations.schemas import shown
from service.evaluations.service import check_done, difference
from service.evaluations.waiting import comparing
from service.problems import Conflict, Forbidden, InvalidRequest, NotFound, Unauthorised
from service.reasons import text_for
from service.references import Beginning, parse
from service.visible import visible_to
from vcp_core.scoring.comparison import adjusted
from vcp_core.scoring.stored_comparison import COMPARED_VERSION, Compared
from vcp_core.scoring.stored_many import MANY_VERSION, MOST, ComparedMany, Matrix


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The evaluations that a request names.

    Attributes:
        evaluations: All of them, in the order of the request.
        baseline: The one that the others are compared with.
    """

    evaluations: list[Evaluation]
    baseline: Evaluation

    @property
    def ids(self) -> list[UUID]:
        """Their ids."""
        return [one.id for one in self.evaluations]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A comparison of many, with its parts once it is done.

    Attributes:
        row: The comparison.
        chosen: Its evaluations.
        with_baseline: Comparisons of each evaluation with the baseline; empty until it is done.
        many: All pairs; None until it is done.
    """

    row: Comparison
    chosen: Chosen
    with_baseline: dict[UUID, Compared]
    many: ComparedMany | None


def ask(session: Session, wanted: Sequence[str], baseline: str | None, reader: Caller | None) -> Found:
    """Compare many evaluations with a baseline and in all pairs. A worker makes a missing comparison.

    Raises:
        InvalidRequest: If there are fewer than two or more than 50, one is named twice, or the baseline is
            not among them.
        NotFound: If an evaluation does not exist.
        Conflict: If one is not done, or differs from the baseline in dataset, protocol or engine.
        Unauthorised: If the comparison is new, and the reader has no token.
        TooMany: If the comparison is new, and too many of the reader's team are under way.
    """
    chosen = choose(session, wanted, baseline, reader)
    found = _kept(session, chosen)
    if found is not None:
        return found
    if reader is None:
        raise Unauthorised(
            "Nobody has compared these evaluations yet. A worker is busy with that for minutes, so only a "
            "team may ask for it. Log in."
        )
    locks.take(session, comparisons.live_lock(reader.team))
    found = _kept(session, chosen)  # another's, by now
    if found is not None:
        return found
    check_room(session, reader.team, many=True)
    number = len(chosen.ids)
    total = number * (number - 1) // 2
    row = many_comparisons.make(
        session, chosen.baseline.id, chosen.ids, version=MANY_VERSION, team=reader.team, total=total
    )
    return Found(row=row, chosen=chosen, with_baseline={}, many=None)


def choose(session: Session, wanted: Sequence[str], baseline: str | None, reader: Caller | None) -> Chosen:
    """Find the evaluations that a request names, and make sure that they can be compared.

    Raises:
        As `ask`, but for `Unauthorised` and `TooMany`.
    """
    if not LEAST <= len(wanted) <= MOST:
        raise InvalidRequest(
            f"{len(wanted)} evaluations are named. A comparison takes {LEAST} to {MOST} of them."
        )
    kept = _load(session, wanted)  # the session refers to loaded rows weakly, so this name keeps them
    found = [named.find(session, one, reader) for one in wanted]
    del kept
    twice = [one for one, number in Counter(one.id for one in found).items() if number > 1]
    if twice:
        raise InvalidRequest(f"Evaluation {twice[0]} is named more than once. Name each evaluation once.")
    base = found[0] if baseline is None else named.find(session, baseline, reader)
    if base.id not in {one.id for one in found}:
        raise InvalidRequest(
            f"The baseline {base.id} is not among the {len(found)} evaluations. Name one of them as baseline."
        )
    for one in found:
        check_done(one, reader)
    for one in found:
        _check_comparable(base, one)
    return Chosen(evaluations=found, baseline=base)


def _load(session: Session, wanted: Sequence[str]) -> Sequence[Evaluation]:
    """Load the evaluations that are named by whole ids, by one query and not by one each."""
    references = (parse(one, "evaluation") for one in wanted)
    whole = [one.whole for one in references if isinstance(one, Beginning) and one.whole is not None]
    return evaluations.load(session, whole)


def _check_comparable(base: Evaluation, one: Evaluation) -> None:
    if found := difference(base, one):
        what, its, others = found
        raise Conflict(
            f"Evaluation {one.id} does not fit: its {what} is {others}, and that of the baseline "
            f"{base.id} is {its}. Leave it out, or choose evaluations of one board."
        )


def find(session: Session, comparison_id: UUID, reader: Caller | None) -> Found:
    """Find a comparison of many by its id, if the reader sees all its evaluations.

    Raises:
        NotFound: If there is none.
        Gone: If one of its evaluations was deleted.
    """
    row = many_comparisons.get(session, comparison_id)
    found = None
    if row is not None and row.version == MANY_VERSION and _whole(session, row, reader):
        found = _with_parts(session, row, Chosen(evaluations=list(row.members), baseline=row.first))
    if found is None:
        gone.check(session, Deleted.COMPARISON, comparison_id, visible=visible_to(reader))
        raise NotFound(
            f"No comparison {comparison_id} of many evaluations. It may have been cancelled, or made by "
            "another version. Ask for it again: POST /v1/comparisons."
        )
    return found


def _whole(session: Session, row: Comparison, reader: Caller | None) -> bool:
    """Whether all its evaluations are still there, and the reader sees them."""
    visible = visible_to(reader)
    seen = [one.id for one in row.members if evaluations.get(session, one.id, visible) is not None]
    return many_comparisons.key(seen) == row.members_key


def cancel(session: Session, comparison_id: UUID, caller: Caller) -> Found:
    """End a comparison of many that the caller's team asked for. Nothing of it is kept.

    Raises:
        NotFound: If there is none.
        Forbidden: If another team asked for it.
        Conflict: If it is done or has failed.
    """
    flow.lock(session)  # before the state is read: workers change it under the same lock
    found = find(session, comparison_id, caller)
    job = comparisons.job_of(session, found.row)
    if not caller.admin and (job is None or job.team != caller.team):
        raise Forbidden(f"Comparison {comparison_id} was asked for by another team.")
    if found.row.state is not ComparisonState.WAITING:
        raise Conflict(f"Comparison {comparison_id} is {found.row.state.value} already.")
    many_comparisons.forget(session, found.row)
    return found


def _kept(session: Session, chosen: Chosen) -> Found | None:
    """Find the comparison, under way or done. One that has lost a part is forgotten."""
    row = many_comparisons.find(session, chosen.baseline.id, chosen.ids, version=MANY_VERSION)
    if row is None:
        return None
    found = _with_parts(session, row, chosen)
    if found is None:
        many_comparisons.forget(session, row)
    return found


def _with_parts(session: Session, row: Comparison, chosen: Chosen) -> Found | None:
    """Add the comparisons with the baseline; None if one is gone. Without it, Holm's family would shrink."""
    if row.content is None:
        return Found(row=row, chosen=chosen, with_baseline={}, many=None)
    others = [one for one in chosen.ids if one != chosen.baseline.id]
    parts = many_comparisons.with_baseline(session, chosen.baseline.id, others, version=COMPARED_VERSION)
    if set(parts) != set(others):
        return None
    return Found(
        row=row,
        chosen=chosen,
        with_baseline={one: Compared.model_validate(parts[one]) for one in others},
        many=ComparedMany.model_validate(row.content),
    )


def progress(session: Session, found: Found, reader: Caller | None) -> ManyOut:
    """State and progress of a comparison, without its numbers."""
    row, chosen = found.row, found.chosen
    job = comparisons.job_of(session, row)
    running = row.state is ComparisonState.WAITING and job is not None and job.state is JobState.RUNNING
    done = job.done / job.total if job is not None and job.total else 0.0
    stands = comparing(session, row, reader)
    return ManyOut(
        id=row.id,
        state="running" if running else row.state.value,
        reason=text_for(row.reason, reader, chosen.baseline.dataset),
        waiting_for=stands.waiting_for,
        progress=ComparisonProgress(
            fraction=1.0 if found.many else min(done, MOST_UNDONE), stage=stands.stage
        ),
        baseline=chosen.baseline.id,
        evaluations=[shown(one, reader=reader) for one in chosen.evaluations],
        with_baseline=[],
        matrices=[],
    )


def detail(session: Session, found: Found, reader: Caller | None) -> ManyOut:
    """A comparison as clients see it."""
    differences = adjusted({str(one): content.differences for one, content in found.with_baseline.items()})
    return progress(session, found, reader).model_copy(
        update={
            "with_baseline": [
                WithBaseline(
                    evaluation=one, differences=list(differences[str(one)]), notes=list(content.notes)
                )
                for one, content in found.with_baseline.items()
            ],
            "matrices": [_matrix(found.many, matrix) for matrix in found.many.matrices] if found.many else [],
        }
    )


def _matrix(many: ComparedMany, matrix: Matrix) -> MatrixOut:
    ids = [UUID(one) for one in many.evaluations]
    return MatrixOut(
        metric=matrix.metric,
        unit=matrix.unit,
        better=matrix.better,
        num_comparisons=len(matrix.pairs),
        pairs=[
            PairOut(
                first=ids[pair.first],
                second=ids[pair.second],
                difference=pair.difference,
                low=pair.low,
                high=pair.high,
                p_value=pair.p_value,
                p_adjusted=p_adjusted,
                num_units=pair.num_units,
            )
            for pair, p_adjusted in zip(matrix.pairs, matrix.adjusted(), strict=True)
        ],
    )
