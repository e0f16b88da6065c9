"""Room for what a team may have under way at a time: comparisons and maps."""

from __future__ import annotations

from datetime import datetime

from service.problems import TooMany


def check(found: tuple[int, datetime | None], team: str | None, *, what: str, allowed: int) -> None:
    """Make sure that the team may have one more. Readers without a token are one team.

    Args:
        found: How many are under way, and since when the oldest waits.
        team: The team; None for readers without a token.
        what: What is counted, such as "maps".
        allowed: The ceiling.

    Raises:
        TooMany: If as many as allowed are under way.
    """
    number, oldest = found
    if oldest is not None and number >= allowed:
        whose = f"Team {team!r} has" if team else "Readers without a token together have"
        raise TooMany(
            f"{whose} {number} {what} under way, and {allowed} are allowed. A place is free when a worker "
            "has made one; the oldest was asked for at "
            f"{oldest:%Y-%m-%d %H:%M:%S %Z}. GET /v1/status shows the workers.",
            limit=f"{what} under way",
            used=number,
            allowed=allowed,
        )
