"""The stored comparison of many evaluations with a baseline and in all pairs. No torch.

A worker makes it. Every pair is compared exactly as two evaluations alone are compared. The differences from
the baseline are kept for every metric. The matrix of all pairs keeps the headline metrics.

p-values are not stored adjusted. Holm's method is applied where they are shown, to the family that is shown.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.units import Better, Unit
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import Difference
from vcp_core.scoring.stored_comparison import COMPARED_VERSION, Compared, compare_and_note
from vcp_core.statistics.several import holm

Load = Callable[[int], Mapping[str, Predictions]]
MOST = 50  # evaluations of one comparison: 1,225 pairs
BLOCK = 8  # evaluations of a block of pairs; the predictions of two blocks are in memory at a time


class Pair(NamedTuple):
    """The difference of two evaluations in one metric: second less first.

    Attributes:
        first: Place of the first evaluation in the list of all.
        second: Place of the second.
        difference: second - first, in the metric's unit.
        low: Lower end of the difference's interval.
        high: Upper end.
        p_value: Of this pair alone.
        num_units: Number of units behind the interval.
    """

    first: int
    second: int
    difference: float
    low: float
    high: float
    p_value: float
    num_units: int

    @property
    def swapped(self) -> Pair:
        """The same pair, seen from the other side: first less second.

        >>> Pair(0, 1, 2.0, -1.0, 5.0, 0.3, 40).swapped
        Pair(first=1, second=0, difference=-2.0, low=-5.0, high=1.0, p_value=0.3, num_units=40)
        """
        return self._replace(
            first=self.second, second=self.first, difference=-self.difference, low=-self.high, high=-self.low
        )


class Matrix(BaseModel):
    """All pairs in one headline metric.

    Attributes:
        metric: The metric's name.
        unit: The unit of the differences.
        better: Whether a higher or a lower value is better.
        pairs: Each pair of evaluations that both have the metric, in one of its two directions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    unit: Unit
    better: Better
    pairs: tuple[Pair, ...]

    def adjusted(self) -> list[float]:
        """Holm's p-values over all pairs of this metric, in the order of `pairs`.

        >>> pairs = (Pair(0, 1, 9.0, 4.0, 14.0, 0.01, 40), Pair(0, 2, 1.0, -4.0, 6.0, 0.7, 40))
        >>> Matrix(metric="retrieval.top1", unit="percent", better="higher", pairs=pairs).adjusted()
        [0.02, 0.7]
        """
        return holm([pair.p_value for pair in self.pairs])


class ComparedMany(BaseModel):
    """The result of comparing many evaluations, beside the comparisons with the baseline.

    Attributes:
        evaluations: Ids of the evaluations; `Pair` names their places.
        matrices: All pairs, by headline metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluations: tuple[str, ...]
    matrices: tuple[Matrix, ...]


_FIELDS = hashlib.sha256(" ".join((*Pair._fields, *Matrix.model_fields)).encode()).hexdigest()
MANY_VERSION = f"{COMPARED_VERSION}-{_FIELDS[:8]}"


def pairs_of(number: int, baseline: int) -> list[tuple[int, int]]:
    """List every pair of `number` evaluations once, block by block. The baseline is always the first.

    Blocks bound the memory: neighbouring pairs need the same evaluations.

    >>> pairs_of(4, 2)
    [(0, 1), (2, 0), (0, 3), (2, 1), (1, 3), (2, 3)]
    """
    blocks = [range(start, min(start + BLOCK, number)) for start in range(0, number, BLOCK)]
    return [
        (one, other) if other != baseline else (other, one)
        for left, right in itertools.combinations_with_replacement(blocks, 2)
        for one, other in itertools.product(left, right)
        if one < other
    ]


def compare_pairs(
    load: Load,
    pairs: Sequence[tuple[int, int]],
    protocol: Protocol,
    *,
    names: Sequence[str],
    same: Collection[tuple[int, int]] = (),
    known: Mapping[tuple[int, int], Compared] | None = None,
    on_units: OnUnits = ignore,
) -> Iterator[tuple[tuple[int, int], Compared]]:
    """Compare pairs of evaluations, one after the other, each as `compare_and_note` does.

    Args:
        load: Gives the predictions of the evaluation at a place. It is called again if they were forgotten.
        pairs: Places of the first and the second evaluation of each pair.
        protocol: The protocol; it sets the level of intervals.
        names: The names of the evaluations, for errors.
        same: The pairs that are the same weights with the same input.
        known: Comparisons that were made before. They are not made again.
        on_units: Called with 1 after each pair.

    Raises:
        NotAvailable: If two evaluations have different rows for a video.
    """
    loaded = lru_cache(maxsize=2 * BLOCK)(load)
    for pair in pairs:
        found = (known or {}).get(pair)
        if found is None:
            first, second = (loaded(place) for place in pair)
            try:
                found = compare_and_note(first, second, protocol, same=pair in same)
            except VcpbenchError as error:
                raise error.within(f"evaluations {names[pair[0]]} and {names[pair[1]]}: ") from None
        yield pair, found
        on_units(1)


class MadeMany(NamedTuple):
    """What comparing many evaluations gave.

    Attributes:
        pairs: The comparisons with the baseline that were not known, by place of the second evaluation.
        many: The stored comparison.
    """

    pairs: dict[int, Compared]
    many: ComparedMany


def compare_all(
    load: Load,
    names: Sequence[str],
    baseline: int,
    protocol: Protocol,
    *,
    same: Collection[tuple[int, int]] = (),
    known: Mapping[int, Compared] | None = None,
    matrices: Sequence[Matrix] | None = None,
    on_units: Callable[[int], OnUnits] = lambda _: ignore,
) -> MadeMany:
    """Compare many evaluations with the baseline and in all pairs.

    Args:
        load: As for `compare_pairs`.
        names: Ids of the evaluations.
        baseline: Place of the baseline.
        protocol: The protocol of all.
        same: As for `compare_pairs`.
        known: Comparisons with the baseline that were made before, by place of the second evaluation.
        matrices: The matrices, if another baseline has them already. Only pairs with this baseline are
            compared then.
        on_units: Given the number of pairs, returns what is called with 1 after each pair.

    Raises:
        NotAvailable: If two evaluations have different rows for a video.
    """
    known = known or {}
    pairs = pairs_of(len(names), baseline)
    if matrices is not None:
        pairs = [pair for pair in pairs if baseline in pair]
    there = {(baseline, place): one for place, one in known.items()}
    made, maker = dict[int, Compared](), MatrixMaker()
    for (first, second), found in compare_pairs(
        load, pairs, protocol, names=names, same=same, known=there, on_units=on_units(len(pairs))
    ):
        maker.add((first, second), found.differences)
        if first == baseline and second not in known:
            made[second] = found
    kept = maker.matrices if matrices is None else tuple(matrices)
    return MadeMany(made, ComparedMany(evaluations=tuple(names), matrices=kept))


class MatrixMaker:
    """Collects the headline differences of pairs into matrices, one for each metric."""

    def __init__(self) -> None:
        self._facts: dict[str, tuple[Unit, Better]] = {}
        self._pairs: dict[str, list[Pair]] = {}

    def add(self, pair: tuple[int, int], differences: Sequence[Difference]) -> None:
        """Add the differences of a pair."""
        for one in differences:
            if one.headline:
                self._facts[one.metric] = one.unit, one.better
                self._pairs.setdefault(one.metric, []).append(
                    Pair(*pair, one.difference, one.low, one.high, one.p_value, one.num_units)
                )

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The matrices so far, by metric."""
        return tuple(
            Matrix(metric=metric, unit=unit, better=better, pairs=tuple(self._pairs[metric]))
            for metric, (unit, better) in self._facts.items()
        )
