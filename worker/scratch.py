"""A worker's own folder of temporary files, inside a folder that no other user can write to.

A worker holds the lock (flock) of its folder while it runs. The system releases the lock of a killed worker,
so the next worker that starts sees an unlocked folder and removes it. This also holds if two installations
share one machine.
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
        scratch: Folder of all workers on this machine.
        name: The worker's id.

    Attributes:
        path: This worker's folder.
    """

    def __init__(self, scratch: Path, name: str) -> None:
        self._scratch, self.path = scratch, scratch / name
        self._held: int | None = None

    def enter(self) -> None:
        """Make the folder and lock it. Do so again if a cleaner of temporary files has removed the folder.

        Raises:
            StorageError: If the folder cannot be made, or other users could write to its parent.
        """
        if self._held is not None and self._is_there(self._held):
            return
        self._let_go()
        make_private(self._scratch)
        with _lock(self._scratch):  # no other worker removes the folder between making and locking it
            self.path.mkdir(mode=OWN, exist_ok=True)
            self._held = _locked(self.path)

    def leave(self) -> None:
        """Remove this worker's folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._let_go()

    def _is_there(self, held: int) -> bool:
        return self.path.exists() and os.path.samestat(os.fstat(held), self.path.stat())

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def remove_abandoned(scratch: Path) -> None:
    """Remove the folders that killed workers left: those of workers that no process locks."""
    with _lock(scratch):
        for folder in filter(_is_workers, list(scratch.iterdir())):
            with suppress(OSError):  # just removed, a file, or another user's: no worker left it
                held = _locked(folder, wait=False)
                if held is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(held)


def _is_workers(folder: Path) -> bool:
    """Whether the folder's name is a worker's id, as `ScratchFolder` writes it."""
    try:
        return str(UUID(folder.name)) == folder.name
    except ValueError:
        return False


def make_private(scratch: Path) -> None:
    """Make the folder, and check that only this user can write to it.

    Raises:
        StorageError: If the folder cannot be made, or if another user could write into or replace it.
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
    """Lock the folder until the returned handle is closed. Return None if another process holds the lock."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
