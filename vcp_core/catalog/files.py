"""Files that are whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcp_core.catalog.errors import Private, StorageError

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """A temporary file to fill, which becomes `path` when the block ends well, and goes otherwise.

    Args:
        path: The file.
        mode: Its own; mkstemp's 0600 would hide a shared folder from its other readers.

    Raises:
        StorageError: If the folder cannot be written, or the disk is full; `path` is then as it was.
    """
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: encoders choose their container by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".part{path.suffix}")
        os.close(handle)
        part = Path(name)
        yield part
        part.chmod(mode)
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error, ". Nothing was left behind.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Find out before long work whether a file can be put into place after it; leaves nothing.

    Args:
        path: The file. Folders on the way to it may be missing; they are not made yet.

    Raises:
        StorageError: If it cannot be written.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise _unwritable(path, error, ".") from error


def _unwritable(path: Path, error: OSError, end: str) -> StorageError:
    full = _FULL.get(error.errno or 0)
    said = full or error.strerror or Private(str(error))
    return StorageError(path, " cannot be written: ", said, end, full=full is not None)


def write_json(path: Path, content: object) -> None:
    """Put a JSON file in place in one step.

    Raises:
        StorageError: As `whole`.
    """
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
