"""A metric as statistics see it: a weighted mean of one value per row, or a function of the rows' weights.

Estimate, interval and comparison all use this one definition.

Legend: R weightings, N prediction rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = Sequence[float] | npt.NDArray[np.generic]
OfWeights = Callable[[Array], Array]  # from weights (R, N) to values (R,)


@dataclass(frozen=True, eq=False)
class Mean:
    """A weighted mean of one value per row.

    Attributes:
        value: The mean; NaN where no row counts.
        values_N: A value for each row, in [0, 1] where the metric is a share: right or wrong, a precision.
        weights_N: The weight of each row. Weights add up to 1. A row that does not count has weight 0. All
            are 0 where no row counts, as for the precision of an answer that was never given.
    """

    value: float
    values_N: Array
    weights_N: Array

    @cached_property
    def counts_N(self) -> npt.NDArray[np.bool_]:
        """Which rows count, (N,)."""
        counts: npt.NDArray[np.bool_] = self.weights_N > 0
        return counts

    @cached_property
    def num_rows(self) -> float:
        """Kish's effective number of rows, 1 / sum of squared weights: 0 where no row counts."""
        return float(1 / (self.weights_N @ self.weights_N)) if self.counts_N.any() else 0.0


@dataclass(frozen=True, eq=False)
class Statistic:
    """A number that is not a mean over rows. It is computed anew for every weighting of the rows.

    It must be smooth in the weights, because its interval comes from leaving out units. A ratio of weighted
    sums is smooth. A median, a quantile, a minimum or a maximum is not.

    >>> ratio = Statistic(lambda weights_RN: weights_RN @ [1.0, 2.0] / (weights_RN @ [2.0, 2.0]))
    >>> ratio(np.array([[1.0, 1.0], [1.0, 0.0]]))
    array([0.75, 0.5 ])

    Attributes:
        of_weights: From weights (R, N) to values (R,), NaN where no weight counts.
    """

    of_weights: OfWeights

    def __call__(self, weights_RN: Array) -> Array:
        """The number for each weighting, (R,)."""
        return self.of_weights(weights_RN)


def weighted_mean(values_N: Values) -> Mean:
    """The mean of one value per row, each in [0, 1].

    >>> weighted_mean([1, 0, 1, 1]).value
    0.75

    Raises:
        ValueError: If a value is not in [0, 1].
    """
    return mean_over(values_N, np.ones(len(values_N), np.bool_))


def mean_over(values_N: Values, mask_N: Sequence[bool] | npt.NDArray[np.bool_]) -> Mean:
    """The mean of a value over the rows of `mask_N`.

    A recall is such a mean: of right answers, over the rows whose true answer is the option.

    >>> mean_over([1, 0, 1, 1], [True, True, False, False]).value
    0.5

    Raises:
        ValueError: If a value is not in [0, 1].
    """
    chosen_N = np.asarray(mask_N, np.bool_)
    counted_N = np.where(chosen_N, np.asarray(values_N, np.float64), 0.0)
    if not ((counted_N >= 0) & (counted_N <= 1)).all():
        raise ValueError("Every value of a share must lie between 0 and 1.")
    count = int(chosen_N.sum())
    return Mean(
        # Not the dot product of weights and values: n right answers of n must give exactly 1.
        value=float(counted_N.sum()) / count if count else float("nan"),
        values_N=counted_N,
        weights_N=chosen_N / max(1, count),
    )


def mean_of(*means: Mean) -> Mean:
    """The plain mean of several means. A mean over no rows is left out.

    >>> first, second = mean_over([1, 0, 0], [True, True, False]), mean_over([0, 0, 1], [False, False, True])
    >>> mean_of(first, second).value, mean_of(first, second).weights_N.tolist()
    (0.75, [0.25, 0.25, 0.5])
    """
    found = [mean for mean in means if mean.counts_N.any()]
    if not found:
        return means[0]
    weights_N = np.mean([mean.weights_N for mean in found], axis=0)
    sums_N = np.mean([mean.weights_N * mean.values_N for mean in found], axis=0)
    values_N = np.divide(sums_N, weights_N, out=np.zeros_like(sums_N), where=weights_N > 0)
    return Mean(value=float(np.mean([mean.value for mean in found])), values_N=values_N, weights_N=weights_N)


def mean_statistic(statistics: Sequence[Mean | Statistic]) -> Mean | Statistic:
    """The plain mean of several statistics: a `Mean` if all of them are, otherwise a `Statistic`.

    Raises:
        TypeError: If some are means of values and some are not.

    >>> mean_statistic([weighted_mean([1, 0]), weighted_mean([1, 1])]).value
    0.75
    >>> mean_statistic([weighted_mean([1, 0]), Statistic(lambda weights_RN: weights_RN.sum(axis=1))])
    Traceback (most recent call last):
    TypeError: A Mean and a Statistic cannot be averaged together.
    """
    means = [one for one in statistics if isinstance(one, Mean)]
    if len(means) == len(statistics):
        return mean_of(*means)
    if means:
        raise TypeError("A Mean and a Statistic cannot be averaged together.")
    functions = [one for one in statistics if isinstance(one, Statistic)]
    return Statistic(lambda weights_RN: np.mean([one(weights_RN) for one in functions], axis=0))
