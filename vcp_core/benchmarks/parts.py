"""The parts of a benchmark: what can be fitted or ranked apart, and how parts become predictions again.

A part is the smallest piece of scoring that a worker can do, such as one head of cloze after one stage. Parts
share nothing, so it does not matter who does them, or in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vcp_core.benchmarks.sizes import Probe, Ranking
from vcp_core.results.types import Predictions


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a benchmark.

    Attributes:
        benchmark: The benchmark's name.
        name: The part's name within the benchmark, such as "relational@layer2".
        size: The size of its probe or ranking.
    """

    benchmark: str
    name: str
    size: Probe | Ranking

    def __str__(self) -> str:
        """The part's name among those of all benchmarks.

        >>> print(Part(benchmark="retrieval", name="pooled", size=Ranking(queries=3, gallery=9, columns=128)))
        retrieval.pooled
        """
        return f"{self.benchmark}.{self.name}"

    @property
    def num_units(self) -> int:
        """Units of work that it reports: one for each fit or ranking."""
        return self.size.fits

    @property
    def num_values(self) -> int:
        """Numbers that it reads, by which jobs are cut."""
        return self.size.num_values


def group_parts(parts: Iterable[Part], least_values: int) -> list[tuple[Part, ...]]:
    """Divide parts into jobs that are worth their start.

    A job takes parts in their order until it reads `least_values` numbers. What is left at the end and is too
    small for a job joins the last one. The same parts always give the same jobs.

    Each job opens all features and reads its rows anew. Without this rule, a small evaluation of twelve parts
    would spend more time on that than on fits.

    >>> sizes = {"p": 4, "q": 1, "r": 2, "s": 5, "t": 1}
    >>> parts = [
    ...     Part(benchmark="b", name=name, size=Ranking(queries=1, gallery=n - 1, columns=1))
    ...     for name, n in sizes.items()
    ... ]
    >>> [[part.name for part in job] for job in group_parts(parts, 5)]
    [['p', 'q'], ['r', 's', 't']]
    >>> [len(job) for job in group_parts(parts, 0)]
    [1, 1, 1, 1, 1]
    """
    jobs: list[tuple[Part, ...]] = []
    begun: tuple[Part, ...] = ()
    for part in parts:
        begun += (part,)
        if sum(one.num_values for one in begun) >= least_values:
            jobs.append(begun)
            begun = ()
    if begun:
        jobs[-1:] = [(*(jobs[-1] if jobs else ()), *begun)]
    return jobs


def join(parts: Sequence[Predictions]) -> Predictions:
    """Make one benchmark's predictions of those of all its parts, in the order of `parts`.

    Every part has the columns that say what was asked, and adds its answers. So do facts.

    >>> asked = {"video": ["a.mp4"], "group": [None]}
    >>> near, far = (
    ...     Predictions(benchmark="b", answers=("x", "y"), columns={**asked, name: [answer]})
    ...     for name, answer in (("near", "x"), ("far", "y"))
    ... )
    >>> join([near, far]).columns
    {'video': ['a.mp4'], 'group': [None], 'near': ['x'], 'far': ['y']}

    Raises:
        ValueError: If two parts contradict each other.
    """
    first = parts[0]
    columns, facts = dict(first.columns), dict(first.facts)
    for part in parts[1:]:
        for name in ("benchmark", "answers", "num_left_out"):
            if getattr(part, name) != getattr(first, name):
                raise ValueError(f"Two parts of {first.benchmark} differ in {name}.")
        for known, added in ((columns, part.columns), (facts, part.facts)):
            for name in known.keys() & added.keys():
                if known[name] != added[name]:
                    raise ValueError(f"Two parts of {first.benchmark} differ in {name!r}.")
            known.update(added)
    fits = tuple(fit for part in parts for fit in part.fits)
    return first.model_copy(update={"columns": columns, "facts": facts, "fits": fits})
