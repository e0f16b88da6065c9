"""Recognise a full disk of temporary files.

It is temporary, so the job is retried and not counted as failed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from vcp_core.catalog.errors import StorageError

FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has a quota, which is used up"}


@contextmanager
def full_disk_as_storage_error() -> Iterator[None]:
    """Turn the error of a full disk into a StorageError. Every other error passes unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        why = f"the disk of the worker's temporary files {FULL[error.errno]}"
        raise StorageError(why, full=True) from error
