"""Who stands where: one rule of shared places for page, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from records.repositories.leaderboard import Place


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A place on the whole board, and whether others share it; no place without the metric."""

    rank: int | None = None
    tied: bool = False


NOWHERE = Standing()


def standings(places: Iterable[Place]) -> dict[UUID, Standing]:
    """Of all rows with the metric; the best is 1, whichever way the board is sorted.

    A metric of which neither more nor less is better has no places.

    A row shares the place of the best of its group if its value lies within that one's interval: without
    their paired difference, nothing says that they differ (PROTOCOL 5).
    """
    scored = sorted(_losses(places), key=lambda one: one[0])
    groups: list[list[Place]] = []
    reach = 0.0  # how far the interval of the group's best reaches towards the worse
    for loss, worst, place in scored:
        if groups and loss <= reach:
            groups[-1].append(place)
        else:
            groups.append([place])
            reach = max(loss, worst)
    found: dict[UUID, Standing] = {}
    for group in groups:
        standing = Standing(rank=len(found) + 1, tied=len(group) > 1)
        found |= {place.evaluation: standing for place in group}
    return found


def _losses(places: Iterable[Place]) -> Iterator[tuple[float, float, Place]]:
    """Those that can be ranked, with value and worse end of the interval, turned so that less is better."""
    for place in places:
        if place.value is None or place.low is None or place.high is None:
            continue
        if place.better == "higher":
            yield -place.value, -place.low, place
        elif place.better == "lower":
            yield place.value, place.high, place
