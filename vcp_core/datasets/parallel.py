"""Two threads for decoding. PyAV decodes without holding Python's lock, so threads help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]  # (done, total), from the caller's own thread


def each_in_threads(
    work: Callable[[T], R], items: Iterable[T], *, num_threads: int = 2
) -> Iterator[tuple[T, R]]:
    """Apply `work` to every item in threads, and yield (item, result) in the order in which items finish.

    If the caller stops early (Ctrl-C, an error, a break), no new item is started, and the items in work are
    finished.

    >>> sorted(each_in_threads(len, ["wave", "clap", "run"]))
    [('clap', 4), ('run', 3), ('wave', 4)]
    """
    pool = ThreadPoolExecutor(num_threads)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
