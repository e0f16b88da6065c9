"""Write files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vcp_core.catalog.errors import Private, StorageError

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.

    >>> sha256_of(Path(os.devnull))[:8]
    'e3b0c442'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Give a temporary file to fill. It replaces `path` if the block ends well, and is deleted otherwise.

    Args:
        path: The file to write. Its folder is made if it is missing.
        mode: Permissions of the file. mkstemp's 0600 would lock out other readers of a shared folder.

    Raises:
        StorageError: If the folder cannot be written, or the disk is full. `path` is then unchanged.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("hello")
    ...     (Path(folder) / "a.txt").read_text()
    'hello'
    """
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside `path` and not in /tmp: a rename across disks would be a copy, and not one step.
        # The suffix stays, because encoders choose the container by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".part{path.suffix}")
        os.close(handle)
        part = Path(name)
        yield part
        with suppress(PermissionError):  # a process behind walls may not change modes, and 0600 stays
            part.chmod(mode)  # before it has its name, so that no reader meets a file without permission
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error, ". Nothing was left behind.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Check before long work that its file can be written afterwards. The check leaves nothing behind.

    Args:
        path: The file. Folders above it may be missing; they are not made yet.

    Raises:
        StorageError: If the file cannot be written.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     refuse_unwritable(Path(folder) / "runs" / "new" / "results.json")
    ...     os.listdir(folder)
    []
    >>> refuse_unwritable(Path("/"))
    Traceback (most recent call last):
    vcp_core.catalog.errors.StorageError: / cannot be written: Is a directory.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # `whole` makes the missing folders, so the nearest one that exists decides.
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise _unwritable(path, error, ".") from error


def _unwritable(path: Path, error: OSError, end: str) -> StorageError:
    full = _FULL.get(error.errno or 0)
    said = full or error.strerror or Private(str(error))
    return StorageError(path, " cannot be written: ", said, end, full=full is not None)


def write_json(path: Path, content: object, *, mode: int = 0o644) -> None:
    """Write a JSON file whole or not at all.

    Args:
        path: As for `whole`.
        content: What `json.dumps` takes.
        mode: Permissions of the file.

    Raises:
        StorageError: As `whole`.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a" / "b.json", {"top1": 71.5})
    ...     json.loads((Path(folder) / "a" / "b.json").read_text())
    {'top1': 71.5}
    """
    with whole(path, mode=mode) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
