"""The map of videos as SVG: small enough for 20,000 points, and told apart by form as well as by colour.

All points of one kind are one path, so a point takes some ten bytes. A grid of links lies over the points: it
finds the videos of a region without JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from service.web.svg import INK, MUTED, PAPER, SVG, TEXT
from vcp_core.scoring.maps import SIDE

SIZE, MARGIN = 1120, 30  # units of the picture; two units are a pixel where nothing is scaled
GRID = 10  # cells in a row
LEGEND, HEADING = 26, 52  # units: height of a line of the legend and of the title
# Blue, orange, green, purple, black, olive: each has a contrast of 3 or more to white (WCAG 1.4.11). Readers
# who see no colours tell them apart by their forms. map.css has their pairs for dark pages.
COLOURS = ("#1f5fa8", "#b35806", "#00795a", "#a3408f", "#1b1d22", "#857000")
REST = "#a4a7ad"  # of all other points


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Points of one kind.

    Attributes:
        name: What they are, for the legend.
        place: Their colour and form; None for points in grey, which stay behind.
        points: Positions, from 0 to `SIDE`.
    """

    name: str
    place: int | None
    points: Sequence[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A square of the grid that holds points: its number, where its link leads, and words about it."""

    number: int
    address: str
    words: str
    chosen: bool = False


def at(position: int) -> int:
    """Where a position from 0 to `SIDE` lies in the picture.

    >>> at(0), at(10_000)
    (30, 1090)
    """
    return MARGIN + round((SIZE - 2 * MARGIN) * position / SIDE)


def cell_of(x: int, y: int) -> int:
    """The number of the cell that a position lies in, row by row.

    >>> cell_of(0, 0), cell_of(10_000, 0), cell_of(0, 10_000)
    (0, 9, 90)
    """
    column, row = (min(GRID - 1, GRID * value // SIDE) for value in (x, y))
    return GRID * row + column


def inside(layers: Sequence[Layer], cells: Iterable[Cell] = (), ring: tuple[int, int] | None = None) -> str:
    """Draw a map for a page, which has words beside it.

    Args:
        layers: Points; the last ones lie on top.
        cells: Links over the points.
        ring: Position of a chosen video.
    """
    links = "".join(_link(cell) for cell in cells)
    # Words beside the picture and the list of videos say it all. So it is hidden from readers of the screen.
    return (
        f'<svg class="plot" viewBox="0 0 {SIZE} {SIZE}" aria-hidden="true" focusable="false">'
        f"{_paper(SIZE)}{_points(layers)}{links}{_ring(ring)}</svg>"
    )


def alone(layers: Sequence[Layer], title: str) -> str:
    """Draw a map at an address of its own, with title and legend."""
    named = [layer for layer in layers if layer.points]
    height = SIZE + HEADING + LEGEND * len(named)
    lines = "".join(_legend(layer, HEADING + LEGEND * row) for row, layer in enumerate(named))
    return (
        f'<svg xmlns="{SVG}" width="{SIZE // 2}" height="{height // 2}" viewBox="0 0 {SIZE} {height}" '
        f'role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui,DejaVu Sans,sans-serif" font-size="{2 * TEXT}">'
        f"<title>{escape(title)}</title>{_paper(height)}"
        f'<text x="{MARGIN}" y="36" font-weight="600" fill="{INK}">{escape(title)}</text>{lines}'
        f'<g transform="translate(0 {height - SIZE})">{_points(layers)}</g></svg>'
    )


def mark(place: int | None) -> str:
    """Draw the mark of a layer, for a legend in a page."""
    return (
        f'<svg class="plot mark" viewBox="0 0 24 24" aria-hidden="true">{_drawn(place, [(12, 12)], 16)}</svg>'
    )


def _points(layers: Sequence[Layer]) -> str:
    total = sum(len(layer.points) for layer in layers)
    size = _diameter(total)
    return "".join(
        _drawn(layer.place, [(at(x), at(y)) for x, y in layer.points], size)
        for layer in sorted(layers, key=lambda layer: layer.place is not None)
    )


def _diameter(num_points: int) -> int:
    """Units across a point: fewer where there are many.

    >>> [_diameter(number) for number in (60, 400, 4_000, 20_000)]
    [18, 14, 6, 6]
    """
    return max(6, min(18, 2 * round(140 / math.sqrt(max(1, num_points)))))


def _drawn(place: int | None, points: Sequence[tuple[int, int]], size: int) -> str:
    """Draw points as one path. `currentColor` lets a dark page choose another colour."""
    if not points:
        return ""
    half = max(2, size // 2)
    form = "disc" if place is None else _FORMS[place % len(_FORMS)]
    path = "".join(_one(form, x, y, half) for x, y in points)
    colour = REST if place is None else COLOURS[place % len(COLOURS)]
    name = "rest" if place is None else f"p{place % len(COLOURS)}"
    ends = {"disc": "round", "square": "square"}.get(form)
    width = {"disc": 2 * half, "square": 2 * half - 2}.get(form, 0)
    if form == "cross":
        style = f'fill="none" stroke="currentColor" stroke-width="{max(2, half // 2)}"'
    elif ends:
        style = f'stroke="currentColor" stroke-width="{width}" stroke-linecap="{ends}"'
    else:
        style = 'fill="currentColor"'
    return f'<path class="{name}" color="{colour}" {style} d="{path}"/>'


_FORMS = ("disc", "diamond", "square", "triangle", "cross", "wedge")


def _one(form: str, x: int, y: int, half: int) -> str:
    """The path of one point around its middle."""
    if form in ("disc", "square"):  # a line of no length: only its ends are seen
        return f"M{x} {y}h0"
    if form == "diamond":
        h = half + 1
        return f"M{x} {y - h}l{h} {h}l-{h} {h}l-{h}-{h}z"
    if form == "triangle":
        return f"M{x} {y - half}l{half} {2 * half}h-{2 * half}z"
    if form == "wedge":
        return f"M{x} {y + half}l{half}-{2 * half}h-{2 * half}z"
    return f"M{x - half} {y - half}l{2 * half} {2 * half}m0-{2 * half}l-{2 * half} {2 * half}"


def _paper(height: int) -> str:
    return f'<rect class="paper" width="{SIZE}" height="{height}" fill="{PAPER}"/>'


def _link(cell: Cell) -> str:
    row, column = divmod(cell.number, GRID)
    step = (SIZE - 2 * MARGIN) / GRID
    place = f'x="{MARGIN + column * step:g}" y="{MARGIN + row * step:g}" width="{step:g}" height="{step:g}"'
    chosen = ' class="chosen"' if cell.chosen else ""
    return (
        f'<a href="{escape(cell.address)}" tabindex="-1"><rect{chosen} {place} fill="none"/>'
        f"<title>{escape(cell.words)}</title></a>"
    )


def _ring(position: tuple[int, int] | None) -> str:
    place = f'cx="{at(position[0])}" cy="{at(position[1])}"' if position else 'visibility="hidden"'
    return f'<circle class="ring" {place} r="16" fill="none" stroke="{INK}" stroke-width="4"/>'


def _legend(layer: Layer, y: int) -> str:
    return (
        f'<g transform="translate({MARGIN} {y})">{_drawn(layer.place, [(10, 10)], 16)}'
        f'<text x="28" y="18" fill="{MUTED}">{escape(layer.name)} ({len(layer.points):,})</text></g>'
    )


def by_cell(xs: Sequence[int], ys: Sequence[int]) -> Mapping[int, list[int]]:
    """Numbers of the points in each cell that has some.

    >>> by_cell([0, 10_000, 1], [0, 0, 2])
    {0: [0, 2], 9: [1]}
    """
    found: dict[int, list[int]] = {}
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        found.setdefault(cell_of(x, y), []).append(number)
    return dict(sorted(found.items()))
