"""Power: the smallest difference that the test videos would find, and the number that a question needs."""

from __future__ import annotations

import math

from scipy.special import ndtri

POWER = 0.8  # share of cases in which a true difference is to be found


def detectable(low: float, high: float, level: float = 0.95) -> float:
    """The true difference that would be found in `POWER` of cases: 1.43 half widths of the interval at 95 %.

    Args:
        low: Lower end of the difference's interval, in any unit.
        high: Upper end.
        level: Nominal coverage of the interval.

    >>> round(detectable(-7.0, 7.0), 1)
    10.0
    """
    quantile = float(ndtri(0.5 + level / 2))
    return (quantile + float(ndtri(POWER))) / quantile * (high - low) / 2


def videos_needed(num_videos: int, found: float, limit: float) -> int:
    """The number of videos that would rule out a drop of `limit` in `POWER` of cases without any true drop.

    An interval's width shrinks with the square root of the number of videos, or of groups of equal size.

    Args:
        num_videos: Number of videos behind the interval.
        found: The detectable difference, from `detectable`.
        limit: The drop that is asked about, above 0.

    >>> videos_needed(100, 10.0, 5.0)
    400
    """
    return math.ceil(num_videos * (found / limit) ** 2 - 1e-9)
