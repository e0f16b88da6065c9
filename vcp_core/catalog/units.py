"""What a score is measured in, which way is better, and how its numbers are written."""

from __future__ import annotations

from typing import Literal

# percent: a share of outcomes, 0 to 100. points: a difference of percents. number: anything else, unbounded.
Unit = Literal["percent", "points", "number"]
Better = Literal["higher", "lower", "neither"]


def written(value: float | None, unit: Unit = "percent", sign: str = "") -> str:
    """Write a number of a score for people.

    Percent and points have one decimal, plain numbers three digits.

    Args:
        value: The number; None is written as nothing.
        unit: Of the score.
        sign: "+" to write a plus in front of what is not negative, as differences have it.

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


def verdict(low: float | None, high: float | None, better: Better = "higher") -> Literal[-1, 0, 1]:
    """Judge the interval of a difference: 1 if all of it is better, -1 if all of it is worse, else 0.

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
