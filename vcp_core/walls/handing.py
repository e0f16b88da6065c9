"""Take a file from a folder in which a walled process writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotHandedOver(Exception):
    """The process left no file, or something else than a file. The text completes "the process ..."."""


def take_over(written: Path, path: Path) -> None:
    """Move a file that a walled process wrote to its place. It becomes the property of this process's user.

    The process may have left anything in its folder, such as a link to a file that it may not read.

    Args:
        written: The file, in the process's folder.
        path: Its place, on the same disk.

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
        file = os.open(written, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotHandedOver(f"left no file ({error.strerror})") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise NotHandedOver("left something other than a file")
        if found.st_uid != os.geteuid():
            os.fchown(file, os.geteuid(), os.getegid())
        os.fchmod(file, 0o644)
    finally:
        os.close(file)
    written.replace(path)
