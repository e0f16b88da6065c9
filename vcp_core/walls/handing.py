"""Take a file from a folder in which a walled process writes."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from vcp_core.catalog.files import whole

COPY_BYTES = 1 << 20


class NotHandedOver(Exception):
    """The process left no file, or something else than a file. The text completes "the process ..."."""


def take_over(written: Path, path: Path) -> None:
    """Copy a file that a walled process wrote to its place. The process can still change its own file.

    The process may have left anything in its folder, such as a link to a file that it may not read.

    Args:
        written: The file, in the process's folder. It is removed.
        path: Its place.

    Raises:
        NotHandedOver: If there is no plain file with one name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.symlink("/etc/passwd", Path(folder, "out"))
    ...     try:
    ...         take_over(Path(folder, "out"), Path(folder, "taken"))
    ...     except NotHandedOver as error:
    ...         print(error)
    left no file (Too many levels of symbolic links)
    """
    try:
        handle = os.open(written, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotHandedOver(f"left no file ({error.strerror})") from error
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise NotHandedOver("left something other than a file")
        with whole(path) as part, part.open("wb") as copy:
            shutil.copyfileobj(file, copy, COPY_BYTES)
    written.unlink(missing_ok=True)
