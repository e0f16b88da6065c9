"""The part of the client that compares evaluations: two, or many with a baseline and in all pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from vcpbench_client.answers import ENDED, Comparison, ComparisonProgress, Difference, Evaluation
from vcpbench_client.asking import Asking
from vcpbench_client.errors import NotCompared
from vcpbench_client.patience import Deadline, Looks
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class AdjustedDifference(Difference):
    """One of several differences from the baseline: an evaluation's score less the baseline's.

    Attributes:
        num_comparisons: Number of comparisons of this metric. They are the family of Holm's method.
        p_adjusted: Holm's p-value.
    """

    num_comparisons: int
    p_adjusted: float


@dataclass(frozen=True, kw_only=True)
class WithBaseline:
    """One evaluation against the baseline; `notes` say which videos only one of the two answered."""

    evaluation: str
    differences: tuple[AdjustedDifference, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two evaluations in one metric: the second's score less the first's.

    Attributes:
        p_value: Of this pair alone.
        p_adjusted: Holm's p-value over all pairs of the metric.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    num_units: int


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All pairs in one headline metric; `num_comparisons` counts them."""

    metric: str
    unit: str = "percent"
    better: str = "higher"
    num_comparisons: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class ComparedMany:
    """Many evaluations, compared with a baseline and in all pairs.

    Attributes:
        state: "waiting", "running", "done", "failed" or "cancelled".
        reason: Why it failed.
        waiting_for: Why nothing happens, if nothing does.
        baseline: The id of the evaluation that the others are compared with.
        evaluations: All of them, the baseline among them, without scores.
        with_baseline: The others against the baseline. Empty until it is done.
        matrices: All pairs, by headline metric. Empty until it is done.
    """

    id: str
    state: str
    reason: str | None = None
    waiting_for: str | None = None
    progress: ComparisonProgress
    baseline: str
    evaluations: tuple[Evaluation, ...]
    with_baseline: tuple[WithBaseline, ...]
    matrices: tuple[Matrix, ...]

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED

    @property
    def title(self) -> str:
        """What is compared, in words."""
        return f"{len(self.evaluations)} evaluations with baseline {self.baseline}"

    @property
    def ids(self) -> dict[str, Any]:
        """Its id, and those of the evaluations."""
        others = [one.id for one in self.evaluations]
        return {"comparison": self.id, "baseline": self.baseline, "evaluations": others}


C = TypeVar("C", Comparison, ComparedMany)


class Comparing(Asking):
    """Methods of `Client` that compare evaluations: two, or many."""

    def compare(
        self,
        first: str,
        second: str,
        *,
        on_progress: Callable[[Comparison], None] | None = None,
        timeout_s: float | None = None,
    ) -> Comparison:
        """The second evaluation against the first, paired by video, once a worker has compared them.

        Args:
            first: Its id, or `MODEL@latest`.
            second: Another's, on the same videos under the same protocol.
            on_progress: Told how it stands, again and again.
            timeout_s: How long to wait. The comparison goes on afterwards.

        Raises:
            NotCompared: If it fails.
            TimedOut: If it takes longer.
        """
        deadline = Deadline.within(timeout_s)

        def look(first: str, second: str) -> Comparison:
            pair = {"first": first, "second": second}
            return self._get(Comparison, "/comparisons", pair, deadline=deadline)

        def again(found: Comparison) -> Comparison:
            return look(found.first.id, found.second.id)  # MODEL@latest may mean another one later

        return self._ended(look(first, second), again, on_progress, deadline)

    def compare_many(
        self,
        evaluations: Sequence[str],
        *,
        baseline: str | None = None,
        on_progress: Callable[[ComparedMany], None] | None = None,
        timeout_s: float | None = None,
    ) -> ComparedMany:
        """Compare 2 to 50 evaluations with a baseline and in all pairs, once a worker has compared them.

        Every difference is paired by video, as `compare` pairs them. p-values are adjusted by Holm's method.

        Args:
            evaluations: Different ones on the same videos under the same protocol. Each is an id, the first
                characters of one, `MODEL@latest`, or `@ALIAS`.
            baseline: One of them, named in any of these ways; the first if left out.
            on_progress: Told how it stands, again and again.
            timeout_s: How long to wait. The comparison goes on afterwards.

        Returns:
            The comparison, with the evaluations in the order given.

        Raises:
            ApiError: If the evaluations cannot be compared: one is not done, or is named twice.
            NotCompared: If it fails.
            TimedOut: If it takes longer.
        """
        deadline = Deadline.within(timeout_s)

        def again(found: ComparedMany) -> ComparedMany:
            path = f"/comparisons/{segment(found.id)}"  # MODEL@latest may mean another one later
            return self._get(ComparedMany, path, deadline=deadline)

        body = {"evaluations": list(evaluations), "baseline": baseline}
        found = self._asked(ComparedMany, "POST", "/comparisons", body=body, deadline=deadline)
        order = [one.id for one in found.evaluations]
        return _ordered(self._ended(found, again, on_progress, deadline), order)

    def _ended(
        self, found: C, again: Callable[[C], C], on_progress: Callable[[C], None] | None, deadline: Deadline
    ) -> C:
        """Wait until a comparison is done. `again` asks for its newer state.

        Raises:
            NotCompared: If it fails, or is cancelled.
            TimedOut: If the deadline passes.
        """
        looks = Looks(deadline, self._transport.deadline)
        while True:
            if on_progress:
                on_progress(found)
            if found.state in ("failed", "cancelled"):
                raise NotCompared(found)
            if found.ended:
                return found
            more = f" It waits, because {found.waiting_for}." if found.waiting_for else ""
            looks.pause(f"The comparison of {found.title} is still {found.state}", more)
            found = again(found)

    def many_page(self, evaluations: Sequence[str], baseline: str) -> str:
        """Address of the page that compares many evaluations with a baseline."""
        pairs = [*(("evaluation", one) for one in evaluations), ("baseline", baseline)]
        return f"{self.url}/compare?{urlencode(pairs)}"


def _ordered(found: ComparedMany, order: Sequence[str]) -> ComparedMany:
    """Put the evaluations in this order: the server keeps a comparison whatever the order was."""
    places = {one: place for place, one in enumerate(order)}
    last = len(places)
    return replace(
        found,
        evaluations=tuple(sorted(found.evaluations, key=lambda one: places.get(one.id, last))),
        with_baseline=tuple(sorted(found.with_baseline, key=lambda one: places.get(one.evaluation, last))),
    )
