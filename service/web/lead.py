"""The sentence above a board that says which row is the best, and whether others may be as good."""

from __future__ import annotations

from collections.abc import Sequence

from service.leaderboard.schemas import BoardRow
from service.web import names
from vcp_core.catalog.units import written


def sentence(rows: Sequence[BoardRow], column: str, total: int) -> str | None:
    """Say which row of a board is the best.

    Args:
        rows: The rows of the board's first page.
        column: The metric that the board is sorted by.
        total: Number of rows on all pages.

    Returns:
        The sentence; None if the best row does not come first, or there is no other row.
    """
    if total < 2 or not rows or rows[0].rank != 1 or column not in rows[0].scores:
        return None
    best, score = rows[0], rows[0].scores[column]
    value, low, high = (written(number, score.unit) for number in (score.value, score.low, score.high))
    step = "" if best.step is None else f" at step {best.step}"
    said = f"Best by {names.title(column)}: {best.model}{step}, {value} ({low} to {high})."
    more = sum(row.rank == 1 for row in rows) - 1
    if more == 0:
        return f"{said} No other score lies inside this interval."
    number = f"{more} or more" if more + 1 == len(rows) < total else f"{more}"
    lie = "other score lies" if number == "1" else "other scores lie"
    return (
        f"{said} {number} {lie} inside this interval: only a comparison, video by video, can tell them apart."
    )
