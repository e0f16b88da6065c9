"""The files that reading a dataset may open. Walls leave only these to the process that decodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vcp_core.catalog.datasets import DATASETS


def files_of(
    name_or_path: str | Path, *, csv: str | Path | None = None, lists: str | Path | None = None
) -> list[Path]:
    """List the folders and files of a dataset, and where the links in it lead.

    Args:
        name_or_path: As for `load_dataset`, but no built-in dataset.
        csv: As for `load_dataset`.
        lists: As for `load_dataset`.

    Returns:
        Real paths. A folder stands for all that is in it. What does not exist is left out.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("data/wave", "elsewhere"):
    ...         Path(folder, name).mkdir(parents=True)
    ...     Path(folder, "elsewhere", "a.avi").touch()
    ...     os.symlink(Path(folder, "elsewhere", "a.avi"), Path(folder, "data", "wave", "a.avi"))
    ...     [str(path.relative_to(Path(folder).resolve())) for path in files_of(Path(folder, "data"))]
    ['data', 'elsewhere/a.avi']
    """
    name, colon, folder = str(name_or_path).partition(":")
    given = folder if colon and name in DATASETS else str(name_or_path)
    root = Path(os.path.realpath(os.path.expanduser(given)))
    beside = [root.parent / spec.lists_folder for spec in DATASETS.values() if spec.lists_folder]
    others = [Path(path).expanduser() for path in (csv, lists) if path]
    found: dict[Path, None] = {}
    waiting = [root, *beside, *others]
    while waiting:
        real = Path(os.path.realpath(waiting.pop(0)))
        # A link to a folder above the dataset would open the disk. No reader follows it either.
        if real in found or real in root.parents or not real.exists():
            continue
        found[real] = None
        waiting += _links_in(real)
    return list(found)


def _links_in(folder: Path) -> Iterator[Path]:
    """List the links in a folder and in the folders below it."""
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield Path(entry.path)
                    elif entry.is_dir():
                        waiting.append(entry.path)
        except OSError:  # a file, or a folder that cannot be read; the dataset's reader says so
            continue
