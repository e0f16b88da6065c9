"""Retries: pauses that double, with jitter, until a time limit."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from vcpbench_client.errors import ClientError, TimedOut, Unreachable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
FIRST_LOOK_S, LONGEST_LOOK_S = 0.2, 3.0  # between looks at something that takes time
UNKNOWN_S = 3.0  # a server that has not answered yet is more likely misspelt than restarting


@dataclass(frozen=True)
class Deadline:
    """The moment after which the client stops trying.

    Attributes:
        after_s: What was allowed.
        at: On `time.monotonic`'s clock; None is never.
    """

    after_s: float = 0
    at: float | None = None

    @classmethod
    def within(cls, seconds: float | None) -> Deadline:
        """Make a deadline that lies so many seconds from now."""
        return cls() if seconds is None else cls(seconds, time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return float("inf") if self.at is None else max(0.0, self.at - time.monotonic())

    def check(self, what: str) -> None:
        """Raise `TimedOut` if the deadline has passed."""
        if not self.left_s:
            raise TimedOut(f"{what} after {self.after_s:g} s.")


class Patience:
    """Pauses between attempts at one thing."""

    def __init__(self, total_s: float, deadline: Deadline) -> None:
        self.total_s, self.deadline = total_s, deadline
        self.renew()

    def renew(self) -> None:
        """There was progress: start over."""
        self._until = time.monotonic() + self.total_s
        self._pause_s = FIRST_PAUSE_S

    def pause(self, error: ClientError, *, known: bool = True) -> None:
        """Wait, longer every time. Raise the error if waiting does not help or the time is over.

        Args:
            error: The error of the last attempt.
            known: Whether the address is trusted: the server has answered before, or the caller expects it.
        """
        left_s = min(self._until - time.monotonic(), self.deadline.left_s)
        if not known and isinstance(error, Unreachable):
            left_s -= max(0.0, self.total_s - UNKNOWN_S)
        # Jitter: clients that were cut off together do not come back together.
        pause_s = self._pause_s * random.uniform(0.5, 1)  # noqa: S311 - not a secret
        pause_s = max(pause_s, error.retry_after_s or 0)
        if not error.passing or pause_s > left_s:
            raise error
        time.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


class Looks:
    """Pauses between looks at something that takes time, longer every time."""

    def __init__(self, *deadlines: Deadline) -> None:
        self._deadlines, self._pause_s = deadlines, FIRST_LOOK_S

    def pause(self, still: str, more: str = "") -> None:
        """Wait until the next look; raise `TimedOut` with these words if no time is left for it."""
        if self._pause_s > self._nearer.left_s:
            raise self.over(still, more)
        time.sleep(self._pause_s)
        self._pause_s = min(1.5 * self._pause_s, LONGEST_LOOK_S)

    def over(self, still: str, more: str = "") -> TimedOut:
        """The error that no time is left, with these words."""
        return TimedOut(f"{still} after {self._nearer.after_s:g} s.{more}")

    @property
    def _nearer(self) -> Deadline:
        return min(self._deadlines, key=lambda one: one.left_s)
