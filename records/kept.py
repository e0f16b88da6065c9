"""Values that never or seldom change once they are known, kept in memory for the next request."""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


_EVERY: list[Kept[Any, Any]] = []


def forget_all() -> None:
    """Forget everything that is kept, as for another database."""
    for kept in _EVERY:
        kept.clear()


class Kept(Generic[K, V]):
    """Values by key, up to a number. Several threads may use it; what nobody asked for longest goes first.

    Args:
        most: How many values are kept.
        seconds: How long each is kept; for ever if left out.

    >>> squares = Kept[int, int](2)
    >>> for number in (1, 2, 3):
    ...     squares.put(number, number**2)
    >>> squares.get(1), squares.get(3)
    (None, 9)
    """

    def __init__(self, most: int, *, seconds: float = math.inf) -> None:
        _EVERY.append(self)
        self._most, self._seconds = most, seconds
        self._values: dict[K, tuple[V, float]] = {}
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Give the value of a key; None if it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            value, until = self._values.pop(key)
            if time.monotonic() > until:
                return None
            self._values[key] = value, until
            return value

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        with self._lock:  # a dict must not grow while another thread looks for its first key
            self._values.pop(key, None)
            self._values[key] = value, time.monotonic() + self._seconds
            while len(self._values) > self._most:
                del self._values[next(iter(self._values))]

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()
