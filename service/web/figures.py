"""Small figures inside tables: interval bars, cells of the heat strip. All are made of numbers alone.

All numbers are percent; a bar's scale is 0 to 100, a unit of width per point.
"""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache

from markupsafe import Markup

from records.repositories.board import Number
from vcp_core.diagnosis import Lifted, way

LIFT_STEPS = (5.0, 10.0, 20.0, 40.0)  # points of lift where a cell's colour changes
SHARE_STEPS = 8
CELLS_KEPT = 1 << 14  # of each kind; some 10 MB
NONE = '<td class="none">\N{EN DASH}</td>'


def percent(value: float | None) -> str:
    """One decimal."""
    return "" if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """One decimal and a sign; a true minus, as wide as the plus.

    >>> signed(-1.25), signed(3.04), signed(-0.01)
    ('−1.2', '+3.0', '0.0')
    """
    if value is None:
        return ""
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.0" else text


def bar(score: Lifted) -> Markup:
    """A score's interval, with ticks where chance is and where random weights are."""
    drawn = _bar(score.value, score.low, score.high, score.chance, score.control)
    return Markup(drawn)  # noqa: S704 - numbers only


def _bar(value: float, low: float, high: float, chance: float | None, control: float | None) -> str:
    ticks = "" if chance is None else f'<path class="b-chance" d="M{chance:.1f} 1v12"/>'
    if control is not None:
        ticks += f'<path class="b-control" d="M{control:.1f} 3.5l3.5 3.5-3.5 3.5-3.5-3.5z"/>'
    return (
        f'<svg class="bar" viewBox="-4 0 108 14" aria-hidden="true">{ticks}'
        f'<path class="b-span" d="M{low:.1f} 7H{high:.1f}"/>'
        f'<circle class="b-value" cx="{value:.1f}" cy="7" r="3"/></svg>'
    )


# A large board has 16,000 cells, and a finished evaluation's numbers never change: sorting it another way
# finds them written. A tuple taken apart once costs half of what its attributes cost one by one.


@lru_cache(CELLS_KEPT)
def value_cell(number: Number | None) -> str:
    """A table's cell: the value, its interval in digits and as a bar."""
    if number is None:
        return NONE
    value, low, high, chance, control, lift, lift_low, lift_high = number
    title = f"95 % interval {low:.1f} to {high:.1f}"
    if lift is not None:
        title += f"; lift {lift:+.1f} [{lift_low:+.1f}, {lift_high:+.1f}]"
    return (
        f'<td class="value" title="{title}"><span class="cell"><b>{value:.1f}</b> '
        f"<small>{low:.1f}\N{EN DASH}{high:.1f}</small>{_bar(value, low, high, chance, control)}</span></td>"
    )


@lru_cache(CELLS_KEPT)
def heat_cell(number: Number | None, *, is_control: bool = False) -> str:
    """A cell of the strip: the lift, coloured where its interval excludes zero; of a control, the recall."""
    if number is None:
        return NONE
    value, low, high, _, control, lift, lift_low, lift_high = number
    if lift is None or lift_low is None or lift_high is None or is_control:
        return (
            f'<td class="heat" title="recall {value:.1f} [{low:.1f}, {high:.1f}]">'
            f'<b class="recall">{value:.0f}</b> <small>{low:.0f}\N{EN DASH}{high:.0f}</small></td>'
        )
    level = "unsure" if lift_low <= 0 <= lift_high else _level(lift)
    return (
        f'<td class="heat {level}" title="lift {lift:+.1f} [{lift_low:+.1f}, {lift_high:+.1f}]: '
        f'recall {value:.1f} [{low:.1f}, {high:.1f}], random weights {control:.1f}">'
        f"<b>{lift:+z.0f}</b> <small>{lift_low:+z.1f} to {lift_high:+z.1f}</small></td>"
    ).replace("-", "\N{MINUS SIGN}")


def heat_level(score: Lifted) -> str:
    """The class that colours a lift: up1 to up5, down1 to down5, or unsure."""
    if score.lift is None or score.lift_low is None or score.lift_high is None:
        return ""
    return _level(score.lift) if way(score) else "unsure"


def _level(lift: float) -> str:
    return f"{'up' if lift > 0 else 'down'}{1 + bisect(LIFT_STEPS, abs(lift))}"


def share_level(share: float) -> str:
    """The class that colours a share of a row, 0 to 1."""
    return f"share{round(min(1.0, max(0.0, share)) * SHARE_STEPS)}"
