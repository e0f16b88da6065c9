"""How many uploads arrive at once at this process: of one team, and of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.limits import MAX_OPEN_UPLOADS, MAX_OPEN_UPLOADS_OF_A_TEAM
from service.problems import TooMany


class OpenUploads:
    """Counts the uploads that are open. It belongs to the event loop, and needs no lock."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, team: str) -> Iterator[None]:
        """Count one more upload of a team while the block runs.

        Raises:
            TooMany: If as many as allowed are open.
        """
        self._check(f"Team {team!r} has", self._open[team], MAX_OPEN_UPLOADS_OF_A_TEAM)
        self._check("All teams together have", self._open.total(), MAX_OPEN_UPLOADS)
        self._open[team] += 1
        try:
            yield
        finally:
            self._open[team] -= 1
            self._open += Counter()  # forgets the teams with none

    def _check(self, whose: str, used: int, allowed: int) -> None:
        if used >= allowed:
            raise TooMany(
                f"{whose} {used} uploads open, and {allowed} are allowed. One more can start when one of "
                "them ends. Send one file after the other.",
                limit="open uploads",
                used=used,
                allowed=allowed,
            )
