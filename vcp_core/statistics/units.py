"""Units (groups or videos), which are sampled whole, and the correlation of answers within one unit.

Legend: N rows, U units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # scipy.stats would take half a second to import

from vcp_core.statistics.means import Array, Mean

IMAGINED = 5  # units; found by simulation, see docs/decisions/2026-11-28-intervals.md
MOST_MEANS = 4  # over the same rows; more of them add hardly any evidence
MIN_GROUPS = 5  # with fewer on the test side, videos are the units; PROTOCOL 5


@dataclass(frozen=True)
class Units:
    """The units of the rows. Rows of different units count as independent.

    Attributes:
        ids: The unit of every row.
        kind: Groups where the dataset has enough of them, else videos.
        warning: Why videos are the units although the dataset has groups; None where that is not so.
    """

    ids: tuple[str, ...]
    kind: Literal["group", "video"]
    warning: str | None = None

    @cached_property
    def number_N(self) -> npt.NDArray[np.intp]:
        """The unit of every row as a number from 0."""
        return np.unique(np.asarray(self.ids), return_inverse=True)[1].astype(np.intp)

    def num_behind(self, counts_N: npt.NDArray[np.bool_] | None = None) -> int:
        """Number of distinct units of the rows that count; of all rows where `counts_N` is None."""
        numbers_N = self.number_N if counts_N is None else self.number_N[counts_N]
        return int(np.count_nonzero(np.bincount(numbers_N)))

    def sums(self, values_N: Array) -> Array:
        """Sum of each unit's values, (U,)."""
        sums_U: Array = np.bincount(self.number_N, weights=values_N).astype(np.float64)
        return sums_U


def choose_units(videos: Sequence[str], groups: Sequence[str | None]) -> Units:
    """Groups where there are at least five, else videos; a video without a group is a unit of its own.

    Clips cut from one source video are not independent, so groups are preferred. With fewer than five groups
    the variance between groups cannot be estimated.

    >>> choose_units(["a", "b"], ["source", "source"]).kind
    'video'
    """
    known = {group for group in groups if group is not None}
    own = (f"video {video}" for video in videos)  # the prefix keeps a video from sharing a name with a group
    if len(known) >= MIN_GROUPS:
        ids = (video if group is None else group for video, group in zip(own, groups, strict=True))
        return Units(ids=tuple(ids), kind="group")
    warning = None
    if known:
        plural = "group" if len(known) == 1 else "groups"
        warning = (
            f"{len(known)} {plural} on the test side: intervals go by videos, "
            "and do not cover how other groups would differ"
        )
    return Units(ids=tuple(videos), kind="video", warning=warning)


@dataclass(frozen=True)
class Spread:
    """The variance of a mean, and the part of it that comes from rows sharing units.

    Attributes:
        rows: Variance of the mean if all rows were independent.
        shared: The variance that is added because rows of one unit are correlated, as estimated.
        companions: Mean number of other rows in a row's unit: 0 where every unit is one row. A correlation r
            within units multiplies the variance by 1 + r * companions (Kish's design effect).
        num_units: Number of units with a row that counts.
    """

    rows: float
    shared: float
    companions: float
    num_units: int


def spread(residuals_N: Array, weights_N: Array, units: Units) -> Spread:
    """The spread of residuals about a mean, corrected for the bias of few units.

    >>> units = choose_units([f"v{i}" for i in range(10)], [f"g{i // 2}" for i in range(10)])
    >>> of_rows = spread(np.array([0.5, 0.5, -0.5, -0.5] * 2 + [0.0, 0.0]), np.full(10, 0.1), units)
    >>> round(of_rows.companions, 6), of_rows.shared > 0, of_rows.num_units
    (1.0, True, 5)
    """
    counts_N = weights_N > 0
    squares = float(weights_N @ weights_N)
    num_units = units.num_behind(counts_N)
    companions = float(np.square(units.sums(weights_N)).sum()) / squares - 1 if squares else 0.0
    if num_units < 2 or companions < 1e-9:
        return Spread(rows=0.0, shared=0.0, companions=max(0.0, companions), num_units=num_units)
    parts_N = weights_N * residuals_N
    rows = float(parts_N @ parts_N)
    by_unit = float(np.square(units.sums(parts_N)).sum()) * num_units / (num_units - 1)
    return Spread(rows=rows, shared=by_unit - rows, companions=companions, num_units=num_units)


def spread_of(mean: Mean, units: Units) -> Spread:
    """The spread of a mean's own rows.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> spread_of(weighted_mean([1, 0, 1]), choose_units(["a", "b", "c"], [None] * 3)).companions
    0.0
    """
    return spread(mean.values_N - mean.value, mean.weights_N, units)


class Correlations:
    """The correlation of rows within a unit, from 0 to 1, for each set of rows that a mean is over.

    One score alone tells little about it: 24 right answers of 24 tell nothing. So one estimate serves all
    means over the same rows: of all heads and stages, and of random weights too. A mean that varies more
    weighs more. Means over other rows are kept apart, because answers to one option may be correlated where
    answers to another are not. If no mean over a set of rows varies, the estimate from all means is used.

    Few units tell little, too. If they look uncorrelated by chance, the interval would be too narrow. So
    `IMAGINED` units with fully correlated rows are added, as long as this raises the estimate.

    Networks differ. A network that always gives one answer has rows that are less correlated than chance
    makes them. Such a network must not narrow the interval of another one. So the correlation used for a mean
    is at least the one that its own answers show.

    Args:
        means: The means of one benchmark: all metrics, of every network that answered.
        units: The units of the rows.
    """

    def __init__(self, means: Iterable[Mean], units: Units) -> None:
        self._units = units
        families: dict[bytes, list[Spread]] = {}
        for mean in means:
            if mean.counts_N.any():
                families.setdefault(rows_of(mean), []).append(spread_of(mean, units))
        self._everything = correlation_within([one for family in families.values() for one in family])
        self._by_rows = {rows: self._of(family) for rows, family in families.items()}

    def _of(self, family: Sequence[Spread]) -> float:
        """The estimate from means over the same rows."""
        found = correlation_within(family) if any(one.rows for one in family) else self._everything
        seen = min(len(family), MOST_MEANS) * (family[0].num_units - 1)
        return max(found, (seen * found + IMAGINED) / (seen + IMAGINED))

    def among(self, mean: Mean) -> float:
        """The correlation from all means over the rows of `mean`, or from `mean` where there is no other."""
        known = self._by_rows.get(rows_of(mean))
        return self._of([spread_of(mean, self._units)]) if known is None else known

    def within(self, mean: Mean) -> float:
        """The correlation for the interval of `mean`: at least the one that its own answers show."""
        return max(self.among(mean), correlation_within([spread_of(mean, self._units)]))


def rows_of(mean: Mean) -> bytes:
    """A key that is equal for means over the same rows.

    >>> from vcp_core.statistics.means import mean_over
    >>> first, second = (mean_over(values, [True, True, False]) for values in ([1, 0, 1], [0, 0, 1]))
    >>> other = mean_over([1, 0, 1], [True, False, True])
    >>> rows_of(first) == rows_of(second), rows_of(first) == rows_of(other)
    (True, False)
    """
    return hashlib.blake2b(mean.counts_N.tobytes(), digest_size=16).digest()


def correlation_within(spreads: Iterable[Spread], *, prior: Iterable[tuple[float, float]] = ()) -> float:
    """One estimate of the correlation within units, for all means that `spreads` come from.

    Args:
        spreads: One for each mean.
        prior: Prior estimates as (correlation, weight); the weight is a variance.

    >>> correlation_within([Spread(rows=0.01, shared=0.01, companions=4.0, num_units=9)])
    0.25
    """
    found = list(spreads)
    shared = sum(max(0.0, one.shared) for one in found)
    largest = sum(one.rows * one.companions for one in found)
    for correlation, variance in prior:
        shared += correlation * variance
        largest += variance
    return min(1.0, shared / largest) if largest > 0 else 0.0


def quantile(level: float, num_units: int) -> float:
    """Student's two-sided quantile at `level`, with `num_units` - 1 degrees of freedom, 1 at least.

    >>> round(quantile(0.95, 9), 3), round(quantile(0.95, 100_000), 2)
    (2.306, 1.96)
    """
    return float(stdtrit(max(1, num_units - 1), 0.5 + level / 2))
