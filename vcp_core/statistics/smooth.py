"""A check that a statistic is smooth in the weights of the units. The jackknife is valid for no other.

Legend: N rows, B blocks of units, P patterns of blocks.
"""

from __future__ import annotations

import numpy as np

from vcp_core.statistics.means import Array, OfWeights
from vcp_core.statistics.units import Units

MOST_BLOCKS = 64  # a unit each, where there are no more units; so the check stays cheap on many videos
SLIGHTLY = 1e-3  # of a block's weight
SMALL = 3e-3  # of the largest change by a block; a smooth statistic changes by about `SLIGHTLY` of it
ROUNDING = 1e-9  # smaller changes tell nothing; relative to the value, or to 1 if the value is smaller


def is_smooth(statistic: OfWeights, units: Units) -> bool:
    """Whether a statistic changes slightly when some units weigh slightly less.

    A weighted median, or another quantile, is a step function: it stays where it is, or jumps. The check
    finds step functions only. The jackknife is not valid for two others: a quantile that interpolates between
    rows, and a maximum over the rows that have any weight. tests/benchmarks/test_intervals.py finds both.

    No weight is set to zero here. A mean over classes may rightly jump when a class has no row left.

    Args:
        statistic: A function from weights (R, N) to values (R,).
        units: The units of the rows.

    >>> units, values_N = Units(ids=tuple("abcde"), kind="video"), np.array([1.0, 1.5, 3.0, 4.0, 9.0])
    >>> is_smooth(lambda weights_RN: weights_RN @ values_N / weights_RN.sum(axis=1), units)
    True
    >>> def median(weights_RN):
    ...     below_RN = np.cumsum(weights_RN, axis=1)
    ...     return values_N[(below_RN >= below_RN[:, -1:] / 2).argmax(axis=1)]
    >>> is_smooth(median, units)
    False
    """
    number_B = np.arange(min(MOST_BLOCKS, units.num_behind()))
    rows_BN = (units.number_N % MOST_BLOCKS == number_B[:, None]).astype(np.float64)
    value = float(statistic(np.ones((1, len(units.ids))))[0])

    def changes(less_RN: Array) -> Array:
        return np.abs(statistic(1 - less_RN) - value)

    slightly_B, nearly_out_B = changes(SLIGHTLY * rows_BN), changes((1 - SLIGHTLY) * rows_BN)
    largest, least = nearly_out_B.max(), ROUNDING * max(1.0, abs(value))
    if largest > least:
        return bool(((slightly_B > 0) & (slightly_B < SMALL * largest)).any())
    if largest > 0:
        return True  # by rounding alone
    # No block alone changes anything. Only a step function then changes when many blocks weigh less at once.
    bits_PB = number_B >> np.arange(len(number_B).bit_length())[:, None] & 1
    patterns_PB = np.concatenate([bits_PB, 1 - bits_PB])
    return not (changes((1 - SLIGHTLY) * patterns_PB @ rows_BN) > least).any()
