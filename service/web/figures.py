"""Small figures inside tables: interval bars, cells of the heat strip. All are made of numbers alone.

A bar's scale is 0 to 100 percent, a unit of width per point.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import compress
from operator import attrgetter
from typing import Literal, NamedTuple

from markupsafe import Markup

from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import Better, Unit, written
from vcp_core.results.diagnosis import way

LIFT_STEPS = (5.0, 10.0, 20.0, 40.0)  # points of lift where a cell's colour changes
SHARE_STEPS = 8
NONE = '<td class="none">\N{EN DASH}</td>'


def signed(value: float | None, unit: Unit = "percent") -> str:
    """Write a difference with its sign. The minus is U+2212, which is as wide as the plus.

    >>> signed(-1.25), signed(3.04), signed(-0.01), signed(-0.4, "number")
    ('−1.2', '+3.0', '0.0', '−0.400')
    """
    text = written(value, unit, "+").replace("-", "\N{MINUS SIGN}")
    return text if text.strip("+\N{MINUS SIGN}0.") else text[1:]


def bar(score: Score) -> Markup:
    """Draw a percentage's interval, with ticks where chance is and where random weights are.

    Other units have no scale from 0 to 100, so nothing is drawn.
    """
    return Markup(_writer("bar", _kind(score))(score))  # noqa: S704 - numbers only


def value_cell(score: Score | None) -> str:
    """Write a table's cell: the value, and its interval in digits and as a bar. The title has the rest."""
    return NONE if score is None else _writer("value", _kind(score))(score)


def heat_cell(score: Score | None, *, is_control: bool = False) -> str:
    """Write a cell of the options' strip: the lift with its colour. A control's cell has the recall."""
    if score is None:
        return NONE
    title = _writer("recall", _kind(score))(score)
    if score.lift is None or score.lift_low is None or score.lift_high is None or is_control:
        return (
            f'<td class="heat" title="{title}"><b class="recall">{score.value:.0f}</b> '
            f"<small>{score.low:.0f}\N{EN DASH}{score.high:.0f}</small></td>"
        )
    lift = f"<b>{score.lift:+z.0f}</b> <small>{score.lift_low:+z.1f} to {score.lift_high:+z.1f}</small>"
    return f'<td class="heat {heat_level(score)}" title="{title}">{lift}</td>'.replace("-", "\N{MINUS SIGN}")


class _Kind(NamedTuple):
    """Which numbers a score has, and their unit. Scores of one kind are written by the same pattern."""

    lift: bool
    lift_interval: bool
    control: bool
    pixels: bool
    above_pixels: bool
    chance: bool
    unit: Unit
    better: Better
    units: str


def _kind(score: Score) -> _Kind:
    return _Kind(
        score.lift is not None,
        score.lift_low is not None,
        score.control is not None,
        score.pixels is not None,
        score.above_pixels_low is not None,
        score.chance is not None,
        score.unit,
        score.better,
        score.units,
    )


# A page of 200 rows writes some 20,000 numbers. The text around them is composed once for all scores of one
# kind; a score then takes one formatting operation, not one for each number
# (docs/decisions/2026-11-28-board.md). In braces are fields of a score: "+" marks a difference, "#" a count.
FIELD = re.compile(r"\{([+#]?)(\w+)\}")
MARKS = {"": "%.1f", "+": "%+.1f", "#": "%d"}


@lru_cache
def _writer(what: Literal["bar", "value", "recall"], kind: _Kind) -> Callable[[Score], str]:
    """Make the function that writes a bar, a cell, or the title of a recall, for scores of this kind."""
    if what == "bar":
        text = _bar(kind)
    elif what == "recall":
        text = f"recall {{value}} [{{low}}, {{high}}]{_beside(kind)}"
    else:
        text = (
            f'<td class="value" title="95 % interval {{low}} to {{high}}{_beside(kind)}"><span class="cell">'
            f"<b>{{value}}</b> <small>{{low}}\N{EN DASH}{{high}}</small>{_bar(kind)}</span></td>"
        )
    if kind.unit == "number" or not text:
        return lambda score: FIELD.sub(partial(_digits, score), text)
    fields = attrgetter(*(name for _, name in FIELD.findall(text)))
    pattern = FIELD.sub(lambda field: MARKS[field[1]], text.replace("%", "%%"))
    return lambda score: pattern % fields(score)


def _digits(score: Score, field: re.Match[str]) -> str:
    """Write one field of a score that is no percentage. A count has no decimals."""
    value = getattr(score, field[2])
    return str(value) if field[1] == "#" else written(value, score.unit, field[1])


def _bar(kind: _Kind) -> str:
    if kind.unit != "percent":
        return ""
    ticks = '<path class="b-chance" d="M{chance} 1v12"/>' if kind.chance else ""
    if kind.control:
        ticks += '<path class="b-control" d="M{control} 3.5l3.5 3.5-3.5 3.5-3.5-3.5z"/>'
    return (
        f'<svg class="bar" viewBox="-4 0 108 14" aria-hidden="true">{ticks}'
        '<path class="b-span" d="M{low} 7H{high}"/><circle class="b-value" cx="{value}" cy="7" r="3"/></svg>'
    )


def _beside(kind: _Kind) -> str:
    """Write the part of a cell's title that follows the value and its interval.

    A number that was not measured is left out. The unit is named unless it is percent, and the direction
    unless it is "higher".
    """
    parts = {
        "; lift {+lift}": kind.lift,
        " [{+lift_low}, {+lift_high}]": kind.lift_interval,
        " over random weights ({control})": kind.control,
        "; pixels {pixels}": kind.pixels,
        ", above them [{+above_pixels_low}, {+above_pixels_high}]": kind.above_pixels,
        "; chance {chance}": kind.chance,
        "; {#num_videos} videos": True,
        " in {#num_units} groups": kind.units == "group",
        f"; {kind.unit}": kind.unit != "percent",
        f"; {BETTER.get(kind.better)}": kind.better != "higher",
    }
    return "".join(compress(parts, parts.values()))


BETTER = {"lower": "lower is better", "neither": "neither way is better"}


def heat_level(score: Score) -> str:
    """Name the CSS class that colours a lift: up1 to up5 if better, down1 to down5 if worse, or unsure.

    The steps are in points of percent. A lift in another unit gets the middle step.
    """
    if score.lift is None or score.lift_low is None or score.lift_high is None:
        return ""
    side = way(score)
    if side == 0:
        return "unsure"
    step = 3 if score.unit == "number" else 1 + bisect(LIFT_STEPS, abs(score.lift))
    return f"{'up' if side > 0 else 'down'}{step}"


def difference_level(difference: float, verdict: str, unit: Unit) -> str:
    """Name the CSS class that colours a difference by its verdict and its size, as `heat_level` does a lift.

    >>> difference_level(12.0, "better", "percent"), difference_level(12.0, "open", "percent")
    ('up3', 'unsure')
    """
    if verdict == "open":
        return "unsure"
    step = 3 if unit == "number" else 1 + bisect(LIFT_STEPS, abs(difference))
    return f"{'up' if verdict == 'better' else 'down'}{step}"


def share_level(share: float) -> str:
    """Name the CSS class that colours a share of a row, 0 to 1."""
    return f"share{round(min(1.0, max(0.0, share)) * SHARE_STEPS)}"
