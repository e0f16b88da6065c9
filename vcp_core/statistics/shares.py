"""The interval of one score: Wilson's, for as many independent answers as the answers there are worth."""

from __future__ import annotations

import numpy as np

from vcp_core.statistics.means import Array, Mean
from vcp_core.statistics.units import Units, quantile, spread_of


def wilson(share: Array, num: Array, quantile: Array | float) -> tuple[Array, Array]:
    """Both ends of Wilson's score interval (doi:10.1080/01621459.1927.10502953) of shares, arrays alike.

    >>> low, high = wilson(np.array([1.0]), np.array([9.0]), 2.306)
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.63, 1.0)
    """
    pull = np.square(quantile) / num
    centre = (share + pull / 2) / (1 + pull)
    half = np.sqrt(share * (1 - share) * pull + pull**2 / 4) / (1 + pull)
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def worth(mean: Mean, units: Units, correlation: float) -> float:
    """As many independent right-or-wrong answers as a share's rows are worth.

    Rows of one unit are alike: n of them are worth n / (1 + correlation * companions). Values between 0 and
    1, such as a precision, vary less than answers that are right or wrong, so each is worth more than one.
    """
    companions = spread_of(mean, units).companions
    return mean.num_rows * _finer(mean) / (1 + correlation * companions)


def _finer(mean: Mean) -> float:
    """How often a value's variance goes into that of right-or-wrong answers of the same mean; 1 for these.

    One imagined right-or-wrong answer is counted with them: values that are all equal prove little.
    """
    coarse = mean.value * (1 - mean.value)
    fine = float(mean.weights_N @ np.square(mean.values_N - mean.value))
    return 1.0 if coarse <= fine else (mean.num_rows + 1) / (mean.num_rows * fine / coarse + 1)


def share_interval(mean: Mean, units: Units, correlation: float, level: float) -> tuple[float, float]:
    """Both ends of the interval of a share, in [0, 1].

    Args:
        mean: Of values in [0, 1].
        units: Of its rows.
        correlation: Of its rows within units.
        level: Nominal coverage.
    """
    factor = quantile(level, units.num_behind(mean.counts_N))
    low, high = wilson(np.array([mean.value]), np.array([worth(mean, units, correlation)]), factor)
    return float(low[0]), float(high[0])


def number_interval(values: tuple[float, float], num_units: int, level: float) -> tuple[float, float]:
    """Both ends of Student's interval of a plain number.

    Args:
        values: The number, and its variance.
        num_units: Units that it stands on.
        level: Nominal coverage.
    """
    number, variance = values
    half = quantile(level, num_units) * float(np.sqrt(variance))
    return number - half, number + half
