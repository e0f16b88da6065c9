"""Watches of the kernel: who opened a file, and which processes are still there."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_OPEN = 0x20  # <sys/inotify.h>
_PR_SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>


@contextmanager
def opened(path: Path) -> Iterator[Callable[[], bool]]:
    """Watch a file, and tell whether any process opened it."""
    watch = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert _LIBC.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN) >= 0, os.strerror(ctypes.get_errno())

    def told() -> bool:
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    try:
        yield told
    finally:
        os.close(watch)


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends, so that `children` shows it."""
    assert _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def children() -> set[int]:
    """The processes whose parent this process is."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if int(text.rpartition(")")[2].split()[1]) == os.getpid():
            found.add(int(status.parent.name))
    return found
