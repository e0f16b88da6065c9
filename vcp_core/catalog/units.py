"""The unit of a score, its better direction, and how its numbers and numbers of bytes are written."""

from __future__ import annotations

from typing import Literal

# percent: a share of outcomes, 0 to 100. points: a difference of percents. number: anything else, unbounded.
Unit = Literal["percent", "points", "number"]
Better = Literal["higher", "lower", "neither"]


def written(value: float | None, unit: Unit = "percent", sign: str = "") -> str:
    """Write a number of a score for people.

    Percents and points get one decimal. Plain numbers get three digits.

    Args:
        value: The number; None is written as "".
        unit: The unit of the score.
        sign: "+" writes a plus in front of numbers that are not negative, as is usual for differences.

    >>> written(61.54), written(-1.25, "points"), written(3.04, sign="+"), written(None)
    ('61.5', '-1.2', '+3.0', '')
    >>> [written(value, "number") for value in (1234.5, 37.42, 2.3026, 0.012345, 0.0)]
    ['1234', '37.4', '2.30', '0.012', '0.000']
    """
    if value is None:
        return ""
    return f"{value:{sign}.{_decimals(value, unit)}f}"


def _decimals(value: float, unit: Unit) -> int:
    if unit != "number":
        return 1
    return next((decimals for decimals, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)


def bytes_written(num_bytes: int) -> str:
    """Write a number of bytes for people.

    >>> bytes_written(3642287), bytes_written(18_400_000_000), bytes_written(12)
    ('3.6 MB', '18.4 GB', '12 B')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes} B"


def verdict(low: float | None, high: float | None, better: Better = "higher") -> Literal[-1, 0, 1]:
    """Judge the interval of a difference: 1 if the whole interval is better, -1 if it is worse, else 0.

    >>> verdict(1.0, 3.0), verdict(1.0, 3.0, "lower"), verdict(-1.0, 3.0), verdict(1.0, 3.0, "neither")
    (1, -1, 0, 0)
    """
    if low is None or high is None:
        return 0
    if low > 0:
        return _ABOVE[better]
    return _BELOW[better] if high < 0 else 0


_ABOVE: dict[Better, Literal[-1, 0, 1]] = {"higher": 1, "lower": -1, "neither": 0}
_BELOW: dict[Better, Literal[-1, 0, 1]] = {"higher": -1, "lower": 1, "neither": 0}
