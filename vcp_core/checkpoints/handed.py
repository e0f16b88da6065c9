"""The file and the folder that the sandbox's child gets: open files, which no other user's folder hides.

Started by root, the child becomes a user who may not enter the folders above them, such as /root. A path
below /proc/self/fd leads to an open file or folder without passing through these.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import StorageError, VcpbenchError


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What the child works with.

    Attributes:
        path: The foreign file.
        folder: The folder that the child may write to.
        real_folder: The folder as users know it, for messages.
    """

    path: Path
    folder: Path
    real_folder: Path

    def tell(self, error: VcpbenchError) -> dict[str, Any]:
        """Turn an error into plain values that name the folder as users know it.

        >>> handed = Handed(path=Path("/proc/self/fd/3"), folder=Path("/proc/self/fd/4"),
        ...     real_folder=Path("/out"))
        >>> handed.tell(StorageError(Path("/proc/self/fd/4/a"), " cannot be written."))["parts"]
        [{'path': '/out/a'}, ' cannot be written.']
        """
        values = error.as_dict()
        for part in values["parts"]:
            if isinstance(part, dict) and Path(part.get("path", "")).is_relative_to(self.folder):
                part["path"] = os.fspath(self.real_folder / Path(part["path"]).relative_to(self.folder))
        return values


def hand_over(path: Path, folder: Path, real_folder: Path) -> Handed:
    """Open the file and the folder, before the child gives up its user.

    Raises:
        StorageError: If there is no room for the copy of a file that only root may read.
    """
    if sys.platform != "linux":
        return Handed(path=path, folder=folder, real_folder=real_folder)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if os.geteuid() == 0 and not os.fstat(file).st_mode & stat.S_IROTH:
        file = _copy_for_others(file, folder, real_folder)
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    return Handed(path=_of_fd(file), folder=_of_fd(opened), real_folder=real_folder)


def _of_fd(number: int) -> Path:
    return Path(f"/proc/self/fd/{number}")


def _copy_for_others(private: int, folder: Path, real_folder: Path) -> int:
    """Copy a file to one without a name that every user may read. The store's own file keeps its mode."""
    name = folder / "copy"
    try:
        copy = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        name.unlink()
        os.fchmod(copy, 0o444)  # the umask may have taken the right to read
        with open(private, "rb") as source, open(copy, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        raise StorageError(real_folder, f" cannot take a copy of the file: {error.strerror}.") from error
    return copy
