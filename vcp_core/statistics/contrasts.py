"""The differences of two evaluations on the same rows, metric by metric, with intervals and p-values.

There are three methods. Each gives an interval and the matching p-value: one minus the level at which the
interval first touches zero.

    pairs    both are means of the same rows: Tango's interval of gains and losses (paired.py)
    squares  the rows differ, as for precisions: Newcombe's square-and-add of the two Wilson intervals
    student  plain numbers: Student's interval, with the jackknife variance over units

Legend: N rows, M differences, U units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from vcp_core.statistics.means import Array, Mean, OfWeights
from vcp_core.statistics.paired import Pairs
from vcp_core.statistics.shares import wilson, worth
from vcp_core.statistics.units import (
    Correlations,
    Spread,
    Units,
    correlation_within,
    quantile,
    rows_of,
    spread,
)

Method = Literal["pairs", "squares", "student"]
HALVINGS = 60  # of an interval of length 40: below the last digit of a float64
LARGEST_QUANTILE = 40.0  # standard errors; upper end of the search for the p-value


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One difference: second less first, on the metrics' own scale.

    Attributes:
        difference: The estimate.
        low: Lower end of its interval.
        high: Upper end.
        p_value: Two-sided: how often two equally good networks would differ by at least as much.
        method: The method that gave interval and p-value.
        num_units: Number of units behind the difference.
    """

    difference: float
    low: float
    high: float
    p_value: float
    method: Method
    num_units: int


def contrasts(
    pairs: Sequence[tuple[Mean, Mean]], units: Units, *, correlations: Correlations, level: float
) -> list[Contrast]:
    """Differences of shares (first, second), all of one benchmark on the same rows.

    The correlation of the *changes* within a unit is estimated from all differences on the same rows
    together. Two evaluations that hardly differ tell little about it. So the correlation of the answers
    themselves serves as a prior, with the weight of as many changes as could go unseen.

    Args:
        pairs: Means of values in [0, 1].
        units: The units of the rows.
        correlations: Correlations of the answers within units.
        level: Nominal coverage.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> from vcp_core.statistics.units import choose_units
    >>> units = choose_units(list("abcdefghij"), [None] * 10)
    >>> pair = weighted_mean([0] * 9 + [1]), weighted_mean([1] * 10)
    >>> (one,) = contrasts([pair], units, correlations=Correlations(pair, units), level=0.95)
    >>> [round(number, 2) for number in (one.difference, one.low, one.high)], one.method
    ([0.9, 0.26, 1.0], 'pairs')
    """
    found: list[Contrast | None] = [None] * len(pairs)
    paired = [i for i, (first, second) in enumerate(pairs) if _same_rows(first, second)]
    others = [i for i in range(len(pairs)) if i not in set(paired)]
    for indices, of in ((paired, _of_pairs), (others, _of_squares)):
        if indices:
            for i, one in zip(
                indices, of([pairs[i] for i in indices], units, correlations, level), strict=True
            ):
                found[i] = one
    return [one for one in found if one is not None]


def _same_rows(first: Mean, second: Mean) -> bool:
    return bool(np.allclose(first.weights_N, second.weights_N, rtol=1e-9, atol=0))


def _of_pairs(
    pairs: Sequence[tuple[Mean, Mean]], units: Units, correlations: Correlations, level: float
) -> list[Contrast]:
    counted = count_pairs(pairs, units, correlations, level)
    low_M, high_M = counted.pairs.ends(counted.factor_M)
    p_M = 2 * stdtr(np.maximum(1, counted.num_units_M - 1), -np.abs(counted.pairs.score()))
    return [
        Contrast(
            difference=second.value - first.value,
            low=float(size * low),
            high=float(size * high),
            p_value=float(p),
            method="pairs",
            num_units=int(num_units),
        )
        for (first, second), size, low, high, p, num_units in zip(
            pairs, counted.size_M, low_M, high_M, p_M, counted.num_units_M, strict=True
        )
    ]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Several differences, expressed as gains and losses of independent pairs.

    Attributes:
        pairs: The counts, (M,) each.
        size_M: Typical size of a change, the unit of the counts: 1 where answers are right or wrong.
        num_units_M: Number of units behind each difference.
        factor_M: Number of standard errors from the estimate to either end of the interval.
    """

    pairs: Pairs
    size_M: Array
    num_units_M: npt.NDArray[np.intp]
    factor_M: Array


def count_pairs(
    pairs: Sequence[tuple[Mean, Mean]], units: Units, correlations: Correlations, level: float
) -> Counted:
    """Count the gains and losses of means over the same rows, in effective independent pairs.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> from vcp_core.statistics.units import choose_units
    >>> units = choose_units(list("abcdef"), [None] * 6)
    >>> pair = weighted_mean([0, 0, 1, 1, 1, 1]), weighted_mean([1, 1, 0, 1, 1, 1])
    >>> counted = count_pairs([pair], units, Correlations(pair, units), 0.95)
    >>> counted.pairs.won.round(6).tolist(), counted.pairs.lost.round(6).tolist()
    ([2.0], [1.0])
    """
    changes = [_Changes.of(first, second, units) for first, second in pairs]
    factor_M = np.array([quantile(level, one.spread.num_units) for one in changes])
    alike = _alike_changes(pairs, changes, correlations, factor_M)
    worth_M = np.array(
        [
            one.num_rows / (1 + within * one.spread.companions)
            for one, within in zip(changes, alike, strict=True)
        ]
    )
    size_M = np.array([one.size for one in changes])
    return Counted(
        pairs=Pairs(
            won=worth_M * [one.won for one in changes] / size_M,
            lost=worth_M * [one.lost for one in changes] / size_M,
            total=worth_M,
        ),
        size_M=size_M,
        num_units_M=np.array([one.spread.num_units for one in changes], np.intp),
        factor_M=factor_M,
    )


def _alike_changes(
    pairs: Sequence[tuple[Mean, Mean]],
    changes: Sequence[_Changes],
    correlations: Correlations,
    factor_M: Array,
) -> list[float]:
    """Correlation of changes within units for each pair, estimated from all pairs on the same rows."""
    families: dict[bytes, list[int]] = {}
    for i, (first, _) in enumerate(pairs):
        families.setdefault(rows_of(first), []).append(i)
    found = {
        rows: correlation_within(
            (changes[i].spread for i in family),
            prior=(changes[i].prior(correlations.among(pairs[i][0]), factor_M[i]) for i in family),
        )
        for rows, family in families.items()
    }
    return [found[rows_of(first)] for first, _ in pairs]


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """The gains and losses of the rows, from the first mean to the second.

    Attributes:
        won: Weighted sum of the gains.
        lost: Weighted sum of the losses.
        size: Typical size of a change: 1 where answers are right or wrong.
        num_rows: Effective number of rows that count.
        spread: Spread of the changes.
    """

    won: float
    lost: float
    size: float
    num_rows: float
    spread: Spread

    @classmethod
    def of(cls, first: Mean, second: Mean, units: Units) -> _Changes:
        weights_N, gains_N = first.weights_N, second.values_N - first.values_N
        won = float(weights_N @ np.maximum(gains_N, 0))
        lost = float(weights_N @ np.maximum(-gains_N, 0))
        squared = float(weights_N @ np.square(gains_N))
        return cls(
            won=won,
            lost=lost,
            size=squared / (won + lost) if squared > 0 else 1.0,
            num_rows=first.num_rows,
            spread=spread(gains_N - (won - lost), weights_N, units),
        )

    def prior(self, correlation: float, factor: float) -> tuple[float, float]:
        """The scores' correlation as a prior, with the weight of factor^2 / 2 changes of independent rows."""
        effect = 1 + correlation * self.spread.companions
        changes = factor**2 / 2 * effect
        return correlation, changes * self.size**2 / self.num_rows**2 * self.spread.companions


def _of_squares(
    pairs: Sequence[tuple[Mean, Mean]], units: Units, correlations: Correlations, level: float
) -> list[Contrast]:
    num_units_M = [min(units.num_behind(one.counts_N) for one in pair) for pair in pairs]
    squares = _Squares(
        shares_2M=np.array([[one.value for one in pair] for pair in pairs]).T,
        worth_2M=np.array(
            [[worth(one, units, correlations.within(one)) for one in pair] for pair in pairs]
        ).T,
        alike_M=np.array([_together(*pair, units) for pair in pairs]),
    )
    factor_M = np.array([quantile(level, number) for number in num_units_M])
    low_M, high_M = squares.ends(factor_M)
    p_M = 2 * stdtr(np.maximum(1, np.array(num_units_M) - 1), -squares.score())
    return [
        Contrast(
            difference=second.value - first.value,
            low=float(low),
            high=float(high),
            p_value=float(p),
            method="squares",
            num_units=number,
        )
        for (first, second), low, high, p, number in zip(pairs, low_M, high_M, p_M, num_units_M, strict=True)
    ]


@dataclass(frozen=True)
class _Squares:
    """Newcombe's method 10 (doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C).

    Attributes:
        shares_2M: The first and the second share.
        worth_2M: The effective number of independent answers behind each share.
        alike_M: Correlation of the two estimates.
    """

    shares_2M: Array
    worth_2M: Array
    alike_M: Array

    def ends(self, factor_M: Array) -> tuple[Array, Array]:
        """Both ends of the interval that reaches `factor_M` standard errors to either side."""
        (first_M, second_M), difference_M = self.shares_2M, self.shares_2M[1] - self.shares_2M[0]
        low_2M, high_2M = wilson(self.shares_2M, self.worth_2M, factor_M)
        below_M = self._added(second_M - low_2M[1], high_2M[0] - first_M)
        above_M = self._added(high_2M[1] - second_M, first_M - low_2M[0])
        return np.maximum(-1.0, difference_M - below_M), np.minimum(1.0, difference_M + above_M)

    def _added(self, second_M: Array, first_M: Array) -> Array:
        squared = second_M**2 + first_M**2 - 2 * self.alike_M * second_M * first_M
        return np.sqrt(np.maximum(0.0, squared))

    def score(self) -> Array:
        """The factor at which the interval first touches zero."""
        low_M = np.zeros_like(self.alike_M)
        high_M = np.full_like(low_M, LARGEST_QUANTILE)
        for _ in range(HALVINGS):
            middle_M = (low_M + high_M) / 2
            lower_M, upper_M = self.ends(middle_M)
            holds_M = (lower_M <= 0) & (upper_M >= 0)
            low_M, high_M = np.where(holds_M, low_M, middle_M), np.where(holds_M, middle_M, high_M)
        return np.where(self.shares_2M[0] == self.shares_2M[1], 0.0, high_M)


def _together(first: Mean, second: Mean, units: Units) -> float:
    """Correlation of two estimates through their common units, shrunk towards 0 where units are few."""
    parts_2U = [units.sums(one.weights_N * (one.values_N - one.value)) for one in (first, second)]
    norms = float(np.linalg.norm(parts_2U[0]) * np.linalg.norm(parts_2U[1]))
    if norms == 0:
        return 0.0
    num_units = min(units.num_behind(one.counts_N) for one in (first, second))
    return max(0.0, float(parts_2U[0] @ parts_2U[1]) / norms) * num_units / (num_units + 4)


def number_contrast(first: OfWeights, second: OfWeights, units: Units, *, level: float) -> Contrast:
    """The difference of two plain numbers, with the jackknife variance over units.

    >>> from vcp_core.statistics.units import choose_units
    >>> units = choose_units(list("abcdef"), [None] * 6)
    >>> def mean_of_rows(values_N):
    ...     return lambda weights_RN: weights_RN @ values_N / weights_RN.sum(axis=1)
    >>> first, second = mean_of_rows(np.arange(6.0)), mean_of_rows(np.arange(6.0) + 2)
    >>> one = number_contrast(first, second, units, level=0.95)
    >>> round(one.difference, 6), one.method
    (2.0, 'student')
    """
    value, variance = leave_one_out(lambda weights_RN: second(weights_RN) - first(weights_RN), units)
    num_units = units.num_behind()
    half = quantile(level, num_units) * float(np.sqrt(variance))
    z = abs(value) / np.sqrt(variance) if variance > 0 else (0.0 if value == 0 else LARGEST_QUANTILE)
    return Contrast(
        difference=value,
        low=value - half,
        high=value + half,
        p_value=float(2 * stdtr(max(1, num_units - 1), -z)),
        method="student",
        num_units=num_units,
    )


def leave_one_out(statistic: OfWeights, units: Units, *, at_once: int = 256) -> tuple[float, float]:
    """A statistic of all rows, and its variance by the jackknife over units.

    Args:
        statistic: A function from weights (R, N) to values (R,).
        units: The units of the rows.
        at_once: Number of units left out, one by one, in a single call of `statistic`; bounds its memory.

    >>> from vcp_core.statistics.units import choose_units
    >>> units = choose_units(list("abcd"), [None] * 4)
    >>> values_N = np.array([1.0, 2.0, 3.0, 4.0])
    >>> mean, variance = leave_one_out(lambda rows_RN: rows_RN @ values_N / rows_RN.sum(axis=1), units)
    >>> mean, round(variance, 6), round(float(values_N.var(ddof=1) / 4), 6)
    (2.5, 0.416667, 0.416667)
    """
    num_units = units.num_behind()
    value = float(statistic(np.ones((1, len(units.ids))))[0])
    parts = []
    for start in range(0, num_units, at_once):
        left_out_R = np.arange(start, min(start + at_once, num_units))
        weights_RN = (units.number_N[None, :] != left_out_R[:, None]).astype(np.float64)
        parts.append(statistic(weights_RN))
    values_U: npt.NDArray[np.float64] = np.concatenate(parts)
    known_U = values_U[~np.isnan(values_U)]
    if len(known_U) < 2:
        return value, 0.0
    return value, float(np.square(known_U - known_U.mean()).sum()) * (len(known_U) - 1) / len(known_U)


def half_width_of_draws(draws: Sequence[float], level: float) -> float:
    """Half the width of Student's interval of the mean score of several random networks.

    The lift's interval includes it, because other random networks would have another mean. One draw alone
    tells nothing about others, so its half width is 0 (docs/decisions/2026-11-26-lift.md).

    >>> round(half_width_of_draws([20.0, 21.0, 22.0], 0.95), 2)
    2.48
    """
    if len(draws) < 2:
        return 0.0
    factor = float(stdtrit(len(draws) - 1, 0.5 + level / 2))
    return factor * float(np.std(draws, ddof=1)) / float(np.sqrt(len(draws)))
