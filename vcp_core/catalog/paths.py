"""The folders in which vcpbench keeps a user's files: a cache, and data that should stay."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Give the folder of files that can be made again; `VCPBENCH_CACHE` overrides the system's folder.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, VCPBENCH_CACHE="/scratch/vcpbench"):
    ...     print(cache_dir())
    /scratch/vcpbench
    """
    return _folder("VCPBENCH_CACHE", platformdirs.user_cache_path("vcpbench"))


def data_dir() -> Path:
    """Give the folder of files that should stay, such as videos; `VCPBENCH_DATA` overrides the system's.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, VCPBENCH_DATA="/data/vcpbench"):
    ...     print(data_dir())
    /data/vcpbench
    """
    return _folder("VCPBENCH_DATA", platformdirs.user_data_path("vcpbench"))


def _folder(variable: str, default: Path) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else default
