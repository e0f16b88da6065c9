"""Small figures inside tables: interval bars, cells of the heat strip. All are made of numbers alone.

A bar's scale is 0 to 100 percent, a unit of width per point.
"""

from __future__ import annotations

from bisect import bisect
from functools import partial

from markupsafe import Markup

from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import Unit, written
from vcp_core.diagnosis import way

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
    if score.unit != "percent":
        return Markup("")
    ticks = "" if score.chance is None else f'<path class="b-chance" d="M{score.chance:.1f} 1v12"/>'
    if score.control is not None:
        ticks += f'<path class="b-control" d="M{score.control:.1f} 3.5l3.5 3.5-3.5 3.5-3.5-3.5z"/>'
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="bar" viewBox="-4 0 108 14" aria-hidden="true">{ticks}'
        f'<path class="b-span" d="M{score.low:.1f} 7H{score.high:.1f}"/>'
        f'<circle class="b-value" cx="{score.value:.1f}" cy="7" r="3"/></svg>'
    )


def value_cell(score: Score | None) -> str:
    """Write a table's cell: the value, its interval in digits and as a bar; the pointer brings the rest."""
    if score is None:
        return NONE
    value, low, high = (written(one, score.unit) for one in (score.value, score.low, score.high))
    title = f"95 % interval {low} to {high}{_beside(score)}"
    return (
        f'<td class="value" title="{title}"><span class="cell"><b>{value}</b> '
        f"<small>{low}\N{EN DASH}{high}</small>{bar(score)}</span></td>"
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
    n, said = partial(written, unit=score.unit), ""
    if score.lift is not None:
        said += f"; lift {n(score.lift, sign='+')}"
    if score.lift_low is not None:
        said += f" [{n(score.lift_low, sign='+')}, {n(score.lift_high, sign='+')}]"
    if score.control is not None:
        said += f" over random weights ({n(score.control)})"
    if score.pixels is not None:
        said += f"; pixels {n(score.pixels)}"
    if score.above_pixels_low is not None:
        ends = (n(end, sign="+") for end in (score.above_pixels_low, score.above_pixels_high))
        said += f", above them [{', '.join(ends)}]"
    if score.chance is not None:
        said += f"; chance {n(score.chance)}"
    grouped = f" in {score.num_units} groups" if score.units == "group" else ""
    said += f"; {score.num_videos} videos{grouped}"
    if score.unit != "percent":
        said += f"; {score.unit}"
    if score.better != "higher":
        said += f"; {score.better} is better" if score.better == "lower" else "; neither way is better"
    return said


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
