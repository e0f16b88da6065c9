"""Small figures inside tables: interval bars, cells of the heat strip. All are made of numbers alone.

A bar's scale is 0 to 100 percent, a unit of width per point.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from functools import partial
from typing import Final

from markupsafe import Markup

from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import Unit, written
from vcp_core.results.diagnosis import way

LIFT_STEPS = (5.0, 10.0, 20.0, 40.0)  # points of lift where a cell's colour changes
SHARE_STEPS = 8
NONE = '<td class="none">\N{EN DASH}</td>'


def signed(value: float | None, unit: Unit = "percent") -> str:
    """Write a difference with its sign; a true minus, as wide as the plus.

    >>> signed(-1.25), signed(3.04), signed(-0.01), signed(-0.4, "number")
    ('−1.2', '+3.0', '0.0', '−0.400')
    """
    text = written(value, unit, "+").replace("-", "\N{MINUS SIGN}")
    return text if text.strip("+\N{MINUS SIGN}0.") else text[1:]


def bar(score: Score) -> Markup:
    """Draw a percentage's interval, with ticks where chance is and where random weights are.

    Other units have no scale from 0 to 100, so nothing is drawn.
    """
    return Markup(_bar(score))  # noqa: S704 - numbers only


def _bar(score: Score) -> str:
    if score.unit != "percent":
        return ""
    ticks = "" if score.chance is None else f'<path class="b-chance" d="M{score.chance:.1f} 1v12"/>'
    if score.control is not None:
        ticks += f'<path class="b-control" d="M{score.control:.1f} 3.5l3.5 3.5-3.5 3.5-3.5-3.5z"/>'
    return (
        f'<svg class="bar" viewBox="-4 0 108 14" aria-hidden="true">{ticks}'
        f'<path class="b-span" d="M{score.low:.1f} 7H{score.high:.1f}"/>'
        f'<circle class="b-value" cx="{score.value:.1f}" cy="7" r="3"/></svg>'
    )


def value_cell(score: Score | None) -> str:
    """Write a table's cell: the value, its interval in digits and as a bar; the pointer brings the rest."""
    if score is None:
        return NONE
    number, _ = _writers(score.unit)
    value, low, high = number(score.value), number(score.low), number(score.high)
    return (
        f'<td class="value" title="95 % interval {low} to {high}{_beside(score)}"><span class="cell">'
        f"<b>{value}</b> <small>{low}\N{EN DASH}{high}</small>{_bar(score)}</span></td>"
    )


def heat_cell(score: Score | None, *, is_control: bool = False) -> str:
    """Write a cell of the strip: the lift, coloured where it is no error; of a control, the recall."""
    if score is None:
        return NONE
    title = f"recall {score.value:.1f} [{score.low:.1f}, {score.high:.1f}]{_beside(score)}"
    if score.lift is None or score.lift_low is None or score.lift_high is None or is_control:
        return (
            f'<td class="heat" title="{title}"><b class="recall">{score.value:.0f}</b> '
            f"<small>{score.low:.0f}\N{EN DASH}{score.high:.0f}</small></td>"
        )
    lift = f"<b>{score.lift:+z.0f}</b> <small>{score.lift_low:+z.1f} to {score.lift_high:+z.1f}</small>"
    return f'<td class="heat {heat_level(score)}" title="{title}">{lift}</td>'.replace("-", "\N{MINUS SIGN}")


def _beside(score: Score) -> str:
    """Write all of a score but its value and interval, as far as it was measured, for the title of a cell.

    A unit other than percent and a direction other than "higher" are named.

    >>> _beside(Score(metric="a.b", value=2.5, low=1, high=4, num_videos=9, num_units=3, units="group"))
    '; 9 videos in 3 groups'
    """
    number, difference = _writers(score.unit)
    said = ""
    if score.lift is not None:
        said = f"; lift {difference(score.lift)}"
    if score.lift_low is not None and score.lift_high is not None:
        said += f" [{difference(score.lift_low)}, {difference(score.lift_high)}]"
    if score.control is not None:
        said += f" over random weights ({number(score.control)})"
    if score.pixels is not None:
        said += f"; pixels {number(score.pixels)}"
    if score.above_pixels_low is not None and score.above_pixels_high is not None:
        ends = f"{difference(score.above_pixels_low)}, {difference(score.above_pixels_high)}"
        said += f", above them [{ends}]"
    if score.chance is not None:
        said += f"; chance {number(score.chance)}"
    said += f"; {score.num_videos} videos"
    if score.units == "group":
        said += f" in {score.num_units} groups"
    if score.unit != "percent":
        said += f"; {score.unit}"
    if score.better != "higher":
        said += f"; {_BETTER[score.better]}"
    return said


_BETTER = {"lower": "lower is better", "neither": "neither way is better"}
# A page of 200 rows writes some 20,000 numbers: these take half of the time of `written`.
_ONE_DECIMAL: Final = "%.1f".__mod__, "%+.1f".__mod__
_THREE_DIGITS: Final = partial(written, unit="number"), partial(written, unit="number", sign="+")


def _writers(unit: Unit) -> tuple[Callable[[float], str], Callable[[float], str]]:
    """What writes numbers of this unit, and what writes differences, as `written` does."""
    return _THREE_DIGITS if unit == "number" else _ONE_DECIMAL


def heat_level(score: Score) -> str:
    """The class that colours a lift: up1 to up5 where it is better, down1 to down5 where worse, or unsure.

    Steps are points. A plain number has no such steps: its lift has the middle one.
    """
    if score.lift is None or score.lift_low is None or score.lift_high is None:
        return ""
    side = way(score)
    if side == 0:
        return "unsure"
    step = 3 if score.unit == "number" else 1 + bisect(LIFT_STEPS, abs(score.lift))
    return f"{'up' if side > 0 else 'down'}{step}"


def share_level(share: float) -> str:
    """The class that colours a share of a row, 0 to 1."""
    return f"share{round(min(1.0, max(0.0, share)) * SHARE_STEPS)}"
