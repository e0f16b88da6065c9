"""Metrics as weighted statistics of predictions: one definition serves estimate, interval and comparison.

Legend: R resamples, N prediction rows, K answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.units import Better, Unit

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that predictions give under any weighting of their rows.

    Attributes:
        name: Such as "cloze.accuracy".
        statistic: From weights (R, N) to values (R,); NaN where no weight counts. Fractions where the unit is
            percent or points, the numbers themselves where it is number.
        chance: What guessing gives, on the scale of `statistic`; None where guessing has no one answer.
        unit: What a score of it is measured in.
        better: Which way is better.
        headline: Whether tables show it first.
        counts_N: The rows that it is a mean over, where these are not all: a precision stands on the answers
            that were given, however many questions were asked.
        outcomes_N: Right or wrong for every row, where the metric is the plain mean of these and a row is a
            video: what McNemar's test compares.
    """

    name: str
    statistic: Statistic
    chance: float | None
    unit: Unit = "percent"
    better: Better = "higher"
    headline: bool = False
    counts_N: npt.NDArray[np.bool_] | None = None
    outcomes_N: npt.NDArray[np.bool_] | None = None


def weighted_mean(values_N: Sequence[float] | npt.NDArray[np.generic]) -> Statistic:
    """The mean of a value per row."""
    row_N = np.asarray(values_N, np.float64)

    def statistic(weights_RN: Array) -> Array:
        return _ratio(weights_RN @ row_N, weights_RN.sum(axis=1))

    return statistic


def mean_over(
    values_N: Sequence[float] | npt.NDArray[np.generic], mask_N: Sequence[bool] | npt.NDArray[np.bool_]
) -> Statistic:
    """The mean of a value over the rows of `mask_N` (a recall: right answers over rows of that truth)."""
    chosen_N = np.asarray(mask_N, np.float64)
    row_N = np.asarray(values_N, np.float64) * chosen_N

    def statistic(weights_RN: Array) -> Array:
        return _ratio(weights_RN @ row_N, weights_RN @ chosen_N)

    return statistic


def mean_of(*statistics: Statistic) -> Statistic:
    """The plain mean of several statistics; those that a resample leaves empty do not count."""

    def statistic(weights_RN: Array) -> Array:
        values = np.stack([part(weights_RN) for part in statistics])
        present = ~np.isnan(values)
        return _ratio(np.where(present, values, 0.0).sum(axis=0), present.sum(axis=0))

    return statistic


def _ratio(numerator_R: Array, denominator_R: Array) -> Array:
    ratio_R: Array = np.divide(
        numerator_R, denominator_R, out=np.full(len(numerator_R), np.nan), where=denominator_R > 0
    )
    return ratio_R
