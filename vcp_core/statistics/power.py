"""What test videos can show: which difference they would find, and how many of them a question takes."""

from __future__ import annotations

import math

from scipy.special import ndtri

POWER = 0.8  # in so many cases a difference is to be found


def detectable(low: float, high: float, level: float = 0.95) -> float:
    """The difference that is found in `POWER` of cases, by the interval of one: 1.43 times its half width.

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
    """How many videos would decide about a drop of `limit` in `POWER` of cases where nothing changed.

    Widths shrink with the square root of the number of videos (and of groups of one size).

    Args:
        num_videos: Behind the interval.
        found: What `detectable` gives.
        limit: The drop that is asked about, above 0.

    >>> videos_needed(100, 10.0, 5.0)
    400
    """
    return math.ceil(num_videos * (found / limit) ** 2 - 1e-9)
