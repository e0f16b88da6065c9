"""Two threads for work that PyAV does outside Python's lock, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from vcp_core.catalog.errors import StorageError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]  # (done, total), from the caller's own thread


def each_in_threads(
    work: Callable[[T], R], items: Iterable[T], *, num_threads: int = 2
) -> Iterator[tuple[T, R]]:
    """Apply `work` to every item; yields (item, result) as they finish.

    When the caller stops (Ctrl-C, an error, no more interest), nothing new is started, and the items in work
    are finished.
    """
    pool = ThreadPoolExecutor(num_threads)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Raises:
        StorageError: If the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".part{path.suffix}")
        os.close(handle)
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be written: {error.strerror}.") from error
    part = Path(name)
    try:
        write(part)
        part.chmod(0o644)  # mkstemp's 0600 would hide a shared data folder from its other readers
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Put a JSON file in place in one step.

    Raises:
        StorageError: As `write_whole`.
    """
    write_whole(path, lambda part: part.write_text(json.dumps(content, indent=1), encoding="utf-8"))
