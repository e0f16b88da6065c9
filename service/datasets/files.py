"""Check that a dataset's files exist. Only for services that see the same folders as the workers."""

from __future__ import annotations

import os
from pathlib import Path

from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.locations import Location


def check_files(location: Location) -> None:
    """Look for the folders and the table that a location names.

    Raises:
        DatasetError: If a folder or table is missing, is of another kind, or cannot be read.
    """
    for path in (location.folder, location.lists):
        if path is not None:
            _check(path, is_folder=True)
    if location.csv is not None:
        _check(location.csv, is_folder=False)


def _check(text: str, *, is_folder: bool) -> None:
    wanted, needs = ("folder", os.R_OK | os.X_OK) if is_folder else ("file", os.R_OK)
    try:
        path = Path(text).expanduser()
        there = path.is_dir() if is_folder else path.is_file()
        exists = path.exists()
    except (OSError, RuntimeError) as error:  # a folder above it is closed, or `~USER` names no user
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{text} cannot be looked for: {reason}.") from None
    if not there:
        what = f"is no {wanted}" if exists else "does not exist"
        raise DatasetError(f"The {wanted} {text} {what} on this machine, where the workers run, too.")
    if not os.access(path, needs):
        raise DatasetError(f"The {wanted} {text} cannot be read by the account that vcpbench runs as.")
