"""A worker's own folder of temporary files, in one that no stranger can write to.

Whoever works in a folder holds its lock (flock), of whichever installation it is; what a killed worker left
is held by nobody, and goes when the next one starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from vcp_core.catalog.errors import StorageError

OWN = 0o700
OTHERS = stat.S_IWGRP | stat.S_IWOTH


class ScratchFolder:
    """One worker's folder.

    Args:
        scratch: The folder of all workers here.
        name: The worker's id.

    Attributes:
        path: The folder.
    """

    def __init__(self, scratch: Path, name: str) -> None:
        self._scratch, self.path = scratch, scratch / name
        self._held: int | None = None

    def enter(self) -> None:
        """Make the folder and hold it; again, where whoever tidies temporary files has removed it.

        Raises:
            StorageError: If it cannot be made, or strangers could write to where it lies.
        """
        if self._held is not None and self._is_there(self._held):
            return
        self._let_go()
        make_private(self._scratch)
        with _lock(self._scratch):  # nobody clears between the next two lines
            self.path.mkdir(mode=OWN, exist_ok=True)
            self._held = _locked(self.path)

    def leave(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._let_go()

    def _is_there(self, held: int) -> bool:
        return self.path.exists() and os.path.samestat(os.fstat(held), self.path.stat())

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def remove_abandoned(scratch: Path) -> None:
    """Remove what killed workers left: folders of workers that nobody holds; all else stays."""
    with _lock(scratch):
        for folder in filter(_is_workers, list(scratch.iterdir())):
            with suppress(OSError):  # it goes just now, or is a file or a stranger's: not what a worker left
                held = _locked(folder, wait=False)
                if held is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(held)


def _is_workers(folder: Path) -> bool:
    """Whether it has a worker's id for a name, as this writes it."""
    try:
        return str(UUID(folder.name)) == folder.name
    except ValueError:
        return False


def make_private(scratch: Path) -> None:
    """Have the folder, and make sure that only this user writes there.

    Raises:
        StorageError: If it cannot be made, or others could put things into it, or others' into its place.
    """
    try:
        scratch.mkdir(parents=True, exist_ok=True, mode=OWN)
        link, found = scratch.lstat(), scratch.stat()
    except OSError as error:
        raise StorageError("VCPBENCH_SCRATCH: ", scratch, f" cannot be used: {error.strerror}.") from None
    strangers = {link.st_uid, found.st_uid} - {0, os.geteuid()}
    if strangers or found.st_mode & OTHERS:
        whose = f"belongs to user {strangers.pop()}" if strangers else "can be written by other users"
        advice = "Name a folder that only you write to."
        raise StorageError("VCPBENCH_SCRATCH: ", scratch, f" {whose}. {advice}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    held = _locked(folder)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def _locked(folder: Path, *, wait: bool = True) -> int | None:
    """A handle that holds the folder's lock until it is closed; None if somebody else does."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
