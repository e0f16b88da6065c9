"""Charts and badges as SVG, drawn by the server: for papers, for READMEs, and for readers without JavaScript.

A chart is drawn of the same data as in the browser (static/charts.js).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

SVG = "http://www.w3.org/2000/svg"
WIDTH = 720  # pixels of a chart
ROW, TICK = 34, 22  # pixels: height of a row of intervals, and of the numbers below an axis
LABELS = 96  # pixels: room at the right for labels of lines of reference
LETTERS_HIGH = 16  # pixels: least distance of two such labels
LETTER = 6.6  # pixels of a letter of the text below, on average
TEXT = 12  # pixels
INK, MUTED, LINE, PAPER = "#1b1d22", "#5a606b", "#dfdfd9", "#ffffff"
COLOURS = ("#1f5fa8", "#b35806", "#1b1d22", "#5a606b", "#a3261f")  # as the light pages have them
DASHES = ("", "6 4", "", "2 3", "6 4")
BADGE_GREY = "#4b5058"


def chart(data: dict[str, Any], title: str) -> str:
    """Draw a chart.

    Args:
        data: As pages give it to charts.js: kind "intervals" or "lines".
        title: Stands above it, and is read aloud.
    """
    return {"intervals": _intervals, "lines": _lines}[data["kind"]](data, title)


def badge(label: str, message: str, colour: str = COLOURS[0]) -> str:
    """Draw a badge: a label, and what is said of it.

    >>> "71.5" in badge("recognition top-1", "71.5 %")
    True
    """
    left, right = (round(LETTER * len(text) + 14) for text in (label, message))
    said = escape(f"{label}: {message}")
    return (
        f'<svg xmlns="{SVG}" width="{left + right}" height="20" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<rect width="{left}" height="20" fill="{BADGE_GREY}"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(message)}</text></g></svg>'
    )


def _intervals(data: dict[str, Any], title: str) -> str:
    """Rows of points with intervals, around a line of reference."""
    names, series = data["names"], data["series"]
    left = min(WIDTH // 2, 20 + round(LETTER * max(map(len, names), default=0)))
    top = 74 if len(series) > 1 else 46  # below the title, the legend, and the name of the reference
    bottom = top + ROW * len(names)
    low, high = data.get("min"), data.get("max")
    if low is None or high is None:
        ends = [
            abs(value) for one in series for point in one["points"] for value in point if value is not None
        ]
        high = math.ceil(max([1.0, *ends]) / 10) * 10
        low = -high
    across = _scale(low, high, left, WIDTH - 24)
    parts = [_grid_down(_ticks(low, high), across, top, bottom)]
    if data.get("reference") is not None:
        at = across(data["reference"])
        parts.append(_line(at, top, at, bottom, MUTED, dash="2 3", width=1.5))
        parts.append(_text(at, top - 6, data["referenceName"], MUTED, "middle"))
    for row, name in enumerate(names):
        middle = top + ROW * (row + 0.5)
        parts.append(_text(left - 10, middle + 4, name, INK, "end"))
        for place, one in reversed(list(enumerate(series))):
            least, value, most = one["points"][row]
            if value is None:
                continue
            if least is not None and most is not None:
                parts.append(_line(across(least), middle, across(most), middle, COLOURS[place], width=2))
            parts.append(_mark(across(value), middle, place))
    parts.append(_text((left + WIDTH - 24) / 2, bottom + TICK + 18, data["axis"], MUTED, "middle"))
    if len(series) > 1:
        parts.append(_legend(enumerate(series), left, 44))
    return _picture(title, bottom + TICK + 28, parts)


def _lines(data: dict[str, Any], title: str) -> str:
    """Lines over steps, from 0 to 100 percent unless the data say that the axis fits its points."""
    # Hidden ones keep their places, and so the others keep the colours that they have on the page.
    placed = [(place, one) for place, one in enumerate(data["series"]) if one["name"] not in data["off"]]
    series = [one for _, one in placed]
    references: list[tuple[int | None, dict[str, Any]]] = [
        (place, line) for place, one in placed for line in one.get("references", [])
    ]
    references += [(None, line) for line in data.get("references", [])]
    fits = data.get("fits", False)
    left, right, top = 52, WIDTH - (LABELS if references else 24), 56
    bottom = 196 if fits else 336
    steps = [point[0] for one in series for point in one["points"]]
    first, last = data.get("from", min(steps, default=0)), data.get("to", max(steps, default=1))
    low, high = _ends(series) if fits else (0, 100)
    across = _scale(first, last if last > first else first + 1, left + 10, right - 10)
    down = _scale(low, high, bottom, top)
    parts = []
    for value in _ticks(low, high):
        parts.append(_line(left, down(value), right, down(value), LINE))
        parts.append(_text(left - 8, down(value) + 4, f"{value:g}{'' if fits else ' %'}", MUTED, "end"))
    for step in _ticks(first, last):
        parts.append(_text(across(step), bottom + TICK, f"{step:g}", MUTED, "middle"))
    heights = _apart([down(line["points"][-1][1]) for _, line in references], LETTERS_HIGH)
    for (place, line), height in zip(references, heights, strict=True):
        colour = MUTED if place is None else COLOURS[place % len(COLOURS)]
        stroke = f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="1.5 4"'
        points = [(across(step), down(value)) for step, value in line["points"]]
        points = [(left, points[0][1]), *points, (right, points[-1][1])]
        parts.append(f'<polyline points="{_pairs(points)}" fill="none" {stroke}/>')
        parts.append(_text(right + 6, height + 4, line["name"], colour))
    for place, one in placed:
        parts += _series(one["points"], place, across, down, marked=not fits)
    parts.append(_text((left + right) / 2, bottom + TICK + 18, data["x"], MUTED, "middle"))
    parts.append(_legend(placed, left, 40))
    return _picture(title, bottom + TICK + 28, parts)


def _series(
    points: Sequence[Sequence[Any]], place: int, across: Any, down: Any, *, marked: bool
) -> list[str]:
    """A line through points of [step, low, value, high], with their intervals if `marked`."""
    colour, dash = COLOURS[place % len(COLOURS)], DASHES[_style(place)]
    stroke = f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"'
    pairs = _pairs([(across(step), down(value)) for step, _, value, _ in points])
    parts = [f'<polyline points="{pairs}" fill="none" {stroke}/>']
    if marked:
        for step, least, value, most in points:
            parts.append(_line(across(step), down(least), across(step), down(most), colour, width=2))
            parts.append(_mark(across(step), down(value), place))
    return parts


def _pairs(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ends(series: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The ends of an axis that fits its points, with some room at both."""
    values = [point[2] for one in series for point in one["points"]]
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    room = (high - low) * 0.08 if high - low > 1e-9 * size else 0.1 * size or 1.0
    return low - room, high + room


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart that would overlap, as little as possible. `charts.js` does the same.

    >>> _apart([50.0, 10.0, 52.0], 16)
    [43.0, 10.0, 59.0]
    """
    groups: list[list[int]] = []
    middles: list[float] = []
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        groups.append([place])
        middles.append(heights[place])
        while len(groups) > 1 and middles[-1] - middles[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last = groups.pop()
            groups[-1] += last
            middles = [*middles[:-2], sum(heights[one] for one in groups[-1]) / len(groups[-1])]
    found = list(heights)
    for group, middle in zip(groups, middles, strict=True):
        for number, place in enumerate(group):
            found[place] = middle + gap * (number - (len(group) - 1) / 2)
    return found


def _style(place: int) -> int:
    """Which dash and mark a series has. After all colours are used once, each gets other ones."""
    return (place + place // len(COLOURS)) % len(COLOURS)


def _picture(title: str, height: float, parts: Iterable[str]) -> str:
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    font = f'font-family="system-ui,DejaVu Sans,sans-serif" font-size="{TEXT}"'
    return (
        f'<svg xmlns="{SVG}" {size} role="img" aria-label="{escape(title)}" {font}>'
        f"<title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        f'<text x="16" y="22" font-size="14" font-weight="600" fill="{INK}">{escape(title)}</text>'
        f"{''.join(parts)}</svg>"
    )


def _scale(low: float, high: float, begin: float, end: float) -> Any:
    return lambda value: begin + (value - low) / (high - low) * (end - begin)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, three to seven of them.

    >>> _ticks(0, 100), _ticks(-10, 10), _ticks(5, 5)
    ([0, 20, 40, 60, 80, 100], [-10, -5, 0, 5, 10], [5])
    """
    if high <= low:
        return [low]
    size = 10 ** math.floor(math.log10(high - low))
    step = next(part for part in (size / 5, size / 2, size, 2 * size) if (high - low) / part <= 6)
    first = math.ceil(low / step)
    return [_plain(number * step) for number in range(first, math.floor(high / step) + 1)]


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


def _grid_down(ticks: Sequence[float], across: Any, top: float, bottom: float) -> str:
    lines = (_line(across(tick), top, across(tick), bottom, LINE) for tick in ticks)
    numbers = (_text(across(tick), bottom + TICK - 4, f"{tick:g}", MUTED, "middle") for tick in ticks)
    return "".join([*lines, *numbers])


def _legend(placed: Iterable[tuple[int, dict[str, Any]]], left: float, y: float) -> str:
    parts, x = [], left
    for place, one in placed:
        parts += [_mark(x + 5, y - 4, place), _text(x + 16, y, one["name"], INK)]
        x += 16 + LETTER * len(one["name"]) + 20
    return "".join(parts)


def _line(
    x1: float, y1: float, x2: float, y2: float, stroke: str, *, dash: str = "", width: float = 1
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{stroke}" stroke-width="{width:g}"{dashed}/>'
    )


def _text(x: float, y: float, text: str, fill: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'


def _mark(x: float, y: float, place: int) -> str:
    """A filled disc for the first series, a diamond for the second, a square, a triangle, a ring."""
    colour, style = COLOURS[place % len(COLOURS)], _style(place)
    if style in (0, 4):
        filled = f'fill="{colour}"' if style == 0 else f'fill="{PAPER}" stroke="{colour}" stroke-width="1.5"'
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4.5 if style == 0 else 4:g}" {filled}/>'
    if style == 3:
        corners = _pairs([(x - 5, y + 4), (x + 5, y + 4), (x, y - 5), (x - 5, y + 4)])
        return f'<polyline points="{corners}" fill="{colour}"/>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if style == 1 else ""
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"{turned}/>'
