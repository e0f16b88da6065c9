"""The interval of one score: Wilson's, with the effective number of independent answers."""

from __future__ import annotations

import numpy as np

from vcp_core.statistics.means import Array, Mean
from vcp_core.statistics.units import Units, quantile, spread_of


def wilson(share: Array, num: Array, quantile: Array | float) -> tuple[Array, Array]:
    """Both ends of Wilson's score interval (doi:10.1080/01621459.1927.10502953) of shares, elementwise.

    >>> low, high = wilson(np.array([1.0]), np.array([9.0]), 2.306)
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.63, 1.0)
    """
    pull = np.square(quantile) / num
    centre = (share + pull / 2) / (1 + pull)
    half = np.sqrt(share * (1 - share) * pull + pull**2 / 4) / (1 + pull)
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def worth(mean: Mean, units: Units, correlation: float) -> float:
    """The effective number of independent right-or-wrong answers behind a share.

    Rows of one unit are correlated: n rows are worth n / (1 + correlation * companions) independent ones.
    Values between 0 and 1, such as an average precision, vary less than right-or-wrong answers. So each such
    value is worth more than one answer.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> from vcp_core.statistics.units import choose_units
    >>> videos, groups = [f"v{i}" for i in range(20)], [f"g{i // 4}" for i in range(20)]
    >>> share = weighted_mean([1, 0] * 10)
    >>> [round(worth(share, choose_units(videos, groups), correlation), 6) for correlation in (0.0, 0.5, 1.0)]
    [20.0, 8.0, 5.0]
    """
    companions = spread_of(mean, units).companions
    return mean.num_rows * _finer(mean) / (1 + correlation * companions)


def _finer(mean: Mean) -> float:
    """The variance of right-or-wrong answers with the same mean, divided by the variance of these values.

    The ratio is 1 for right-or-wrong answers. One imagined right-or-wrong answer is added to the values:
    otherwise a few values that happen to be equal would give a variance of 0 and an infinite ratio.
    """
    coarse = mean.value * (1 - mean.value)
    fine = float(mean.weights_N @ np.square(mean.values_N - mean.value))
    return 1.0 if coarse <= fine else (mean.num_rows + 1) / (mean.num_rows * fine / coarse + 1)


def share_interval(mean: Mean, units: Units, correlation: float, level: float) -> tuple[float, float]:
    """Both ends of the interval of a share, in [0, 1].

    Args:
        mean: A mean of values in [0, 1].
        units: The unit of every row.
        correlation: Correlation of the rows within a unit.
        level: Nominal coverage.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> from vcp_core.statistics.units import choose_units
    >>> units = choose_units(list("abcdefghi"), [None] * 9)
    >>> low, high = share_interval(weighted_mean([1] * 9), units, 0.0, 0.95)
    >>> round(low, 2), round(high, 2)
    (0.63, 1.0)
    """
    factor = quantile(level, units.num_behind(mean.counts_N))
    low, high = wilson(np.array([mean.value]), np.array([worth(mean, units, correlation)]), factor)
    return float(low[0]), float(high[0])


def number_interval(values: tuple[float, float], num_units: int, level: float) -> tuple[float, float]:
    """Both ends of Student's interval of a plain number.

    Args:
        values: The number and its variance.
        num_units: Number of units behind the number.
        level: Nominal coverage.

    >>> low, high = number_interval((3.0, 0.25), 10, 0.95)
    >>> round(low, 3), round(high, 3)
    (1.869, 4.131)
    """
    number, variance = values
    half = quantile(level, num_units) * float(np.sqrt(variance))
    return number - half, number + half
