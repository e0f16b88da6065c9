"""Progress of long calls: the numbers that a call reports, and the line that shows them.

A long call reports the name of its stage, the number of units done and the number of units in all. In a
terminal or a notebook a `Line` on standard error shows them. A pipe, a log or a test gets no line.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[str, int, int], None]  # stage, done, total
Counts = Callable[[int, int], None]  # done, total
OnUnits = Callable[[int], None]  # how many units were done since the last call

EVERY_S = 0.2  # shortest time between two drawings of the line
KNOWN_S = 1.0  # no estimate before that: the pace of the first second says little


def ignore(num_units: int) -> None:
    """Do nothing: the default for calls whose progress nobody follows."""


@contextmanager
def shown(progress: Progress | bool) -> Iterator[Progress]:
    """Give the function that a long call reports its progress to, until the block ends.

    Args:
        progress: A function receives every report. True shows a line in a terminal or a notebook, and
            nothing elsewhere. False shows nothing.

    >>> with shown(lambda stage, done, total: print(f"{stage}: {done} of {total}")) as tell:
    ...     tell("decoding", 1, 3)
    decoding: 1 of 3
    >>> with shown(False) as tell:
    ...     tell("decoding", 1, 3)
    """
    if not isinstance(progress, bool):
        yield progress
    elif progress and _somebody_looks(sys.stderr):
        line = Line(sys.stderr)
        try:
            yield line
        finally:  # an error, too, should begin on a line of its own
            line.clear()
    else:
        yield lambda stage, done, total: None


@contextmanager
def counted(stage: str, progress: Counts | bool | None) -> Iterator[Counts | None]:
    """Give the same function for a call with one stage; it receives (done, total).

    >>> with counted("decoding", lambda done, total: print(f"{done} of {total}")) as tell:
    ...     tell(1, 3)
    1 of 3
    """
    if not isinstance(progress, bool):
        yield progress
        return
    with shown(progress) as tell:
        yield lambda done, total: tell(stage, done, total)


def counting(tell: Progress, stage: str, total: int) -> OnUnits:
    """Make a function that adds up the units done of a stage and reports the sum.

    >>> count = counting(lambda stage, done, total: print(stage, done, total), "decoding", 3)
    >>> count(1)
    decoding 1 3
    >>> count(2)
    decoding 3 3
    """
    done = 0

    def count(num_units: int) -> None:
        nonlocal done
        done += num_units
        tell(stage, min(done, total), total)

    return count


class Line:
    """One line that overwrites itself: stage, percentage, count, and the time left once a pace is known.

    Args:
        stream: The stream that the line is written to.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._stage, self._width = "", 0
        self._began_at = self._drawn_at = 0.0
        self._first = 0  # units done at the first report: they were done earlier and tell no pace

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the progress; of two calls in quick succession only the first draws."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began_at, self._first = stage, now, done
        elif done < total and now - self._drawn_at < EVERY_S:
            return
        self._drawn_at = now
        self._draw(self._text(done, total, now - self._began_at))

    def clear(self) -> None:
        """Blank the line and return the cursor to its start."""
        self._draw("")
        self._stream.write("\r")
        self._stream.flush()

    def _text(self, done: int, total: int, elapsed_s: float) -> str:
        if total <= 1:
            return self._stage
        text = f"{self._stage}  {100 * done // total} %, {done} of {total}"
        if elapsed_s < KNOWN_S or not self._first < done < total:
            return text
        left_s = elapsed_s / (done - self._first) * (total - done)
        return f"{text}, about {duration(left_s)} left"

    def _draw(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be written over
        # Blanks, not an escape code, wipe what was longer: notebooks and old consoles have no such code.
        self._stream.write(f"\r{text:<{self._width}}")
        self._stream.flush()
        self._width = len(text)


def duration(seconds: float) -> str:
    """Write a number of seconds roughly, for people.

    >>> duration(35.2), duration(200), duration(8000)
    ('35 s', '3 min', '2 h 13 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def duration_range(low_s: float, high_s: float) -> str:
    """Write a range of seconds roughly, for people.

    >>> duration_range(20.0, 200.0), duration_range(30.1, 30.2), duration_range(0.1, 0.4)
    ('20 s to 3 min', '30 s', 'less than 1 s')
    """
    if high_s < 1:
        return "less than 1 s"
    low, high = duration(low_s), duration(high_s)
    return low if low == high else f"{low} to {high}"


def _somebody_looks(stream: TextIO | None) -> bool:
    """Whether people see the stream: in a terminal, or in a notebook, whose stream is not a terminal."""
    if stream is None:  # pythonw has no standard error
        return False
    if stream.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
