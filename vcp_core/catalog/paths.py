"""Where vcpbench keeps a user's files: what can be made again (cache), and what should stay (data)."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder of what costs time but can be made again; `VCPBENCH_CACHE` overrides the system's place."""
    return _folder("VCPBENCH_CACHE", platformdirs.user_cache_path("vcpbench"))


def data_dir() -> Path:
    """Folder of built-in videos and the like; `VCPBENCH_DATA` overrides the system's place."""
    return _folder("VCPBENCH_DATA", platformdirs.user_data_path("vcpbench"))


def _folder(variable: str, default: Path) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else default
