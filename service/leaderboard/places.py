"""Who stands where: one rule of shared places for page, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable
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

    A row shares the place of the best of its group if its value lies within that one's interval: without
    their paired difference, nothing says that they differ (PROTOCOL 5).
    """
    scored = [(place.value, place) for place in places if place.value is not None]
    scored.sort(key=lambda one: -one[0])
    groups: list[list[Place]] = []
    floor = 0.0  # what still reaches the interval of the group's best
    for value, place in scored:
        if groups and value >= floor:
            groups[-1].append(place)
        else:
            groups.append([place])
            floor = value if place.low is None else min(value, place.low)
    found: dict[UUID, Standing] = {}
    for group in groups:
        standing = Standing(rank=len(found) + 1, tied=len(group) > 1)
        found |= {place.evaluation: standing for place in group}
    return found
