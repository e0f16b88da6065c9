"""How long tests wait: for a state, under one generous deadline, and no longer than the state can still come.

On a busy machine everything takes many times as long. A test that expects an answer within some seconds
fails there for no fault of the product. So no test has a deadline of its own: what hangs ends at DEADLINE_S,
and what cannot come any more (a process died, a state ended otherwise) fails at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = float(os.environ.get("VCPBENCH_TEST_DEADLINE_S", "900"))


def until(
    look: Callable[[], T],
    *,
    hopeless: Callable[[], object] = lambda: None,
    else_say: Callable[[], object] = lambda: "it never came to be",
    every_s: float = 0.05,
) -> T:
    """Look again and again, and return the first true value.

    Args:
        look: What is waited for.
        hopeless: Asked after each look; anything true is why the wait is in vain, and fails the test.
        else_say: What the failed test says once the deadline is over.
        every_s: The pause between two looks.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        why = hopeless()
        assert not why, why
        assert time.monotonic() < deadline, else_say()
        time.sleep(every_s)
    return found


def with_time_enough(run: Callable[[str], T], meant: Callable[[T], object], first_s: float) -> T:
    """What a command gives whose own `--timeout` is to end it in a certain state.

    A busy machine does not come to that state in time: then the command gets four times as many seconds.

    Args:
        run: Takes the seconds, as the command's option has them.
        meant: Whether it ended in that state.
        first_s: For the first attempt.
    """
    seconds = first_s
    while not meant(found := run(f"{seconds:g}")) and seconds < DEADLINE_S:
        seconds *= 4
    return found
