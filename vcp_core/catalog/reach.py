"""The files that reading a dataset may open. Walls leave only these to the process that decodes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vcp_core.catalog.datasets import DATASETS

# Folders of the system. With hidden folders, they hold what a link in somebody's archive must not open. In
# some hidden folders, tools keep the files of datasets, and put links in their places.
CLOSED = tuple(map(Path, ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")))
KEEPERS = (".cache", ".dvc", ".git")


def files_of(
    name_or_path: str | Path,
    *,
    csv: str | Path | None = None,
    lists: str | Path | None = None,
    closed: Iterable[str | Path] = (),
) -> list[Path]:
    """List the folders and files of a dataset, and where the links in it lead.

    A link opens nothing if it leads into or above a closed folder, into a hidden folder that is not one of
    `KEEPERS`, or above the dataset.

    Args:
        name_or_path: As for `load_dataset`, but no built-in dataset.
        csv: As for `load_dataset`.
        lists: As for `load_dataset`.
        closed: Folders of vcpbench that no link may open, besides those of the system.

    Returns:
        Real paths. A folder stands for all that is in it. What does not exist is left out.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("data/wave", "elsewhere"):
    ...         Path(folder, name).mkdir(parents=True)
    ...     Path(folder, "elsewhere", "a.avi").touch()
    ...     os.symlink(Path(folder, "elsewhere", "a.avi"), Path(folder, "data", "wave", "a.avi"))
    ...     os.symlink("/etc", Path(folder, "data", "wave", "etc"))
    ...     [str(path.relative_to(Path(folder).resolve())) for path in files_of(Path(folder, "data"))]
    ['data', 'elsewhere/a.avi']
    """
    name, colon, folder = str(name_or_path).partition(":")
    given = folder if colon and name in DATASETS else str(name_or_path)
    root = Path(os.path.abspath(os.path.expanduser(given)))
    folders = [spec.lists_folder for spec in DATASETS.values() if spec.lists_folder]
    beside = [root.parent / one for one in folders]
    others = [Path(path).expanduser() for path in (csv, lists) if path]
    named = [Path(os.path.realpath(path)) for path in (root, *beside, *others) if os.path.exists(path)]
    shut = [*CLOSED, *(Path(os.path.realpath(path)) for path in closed)]
    found = dict.fromkeys(named)
    waiting = deque(link for path in named for link in _links_in(path))
    while waiting:
        real = Path(os.path.realpath(waiting.popleft()))
        if real not in found and os.path.exists(real) and _may_open(real, named[:1], shut):
            found[real] = None
            waiting.extend(_links_in(real))
    return list(found)


def _may_open(target: Path, root: Sequence[Path], shut: Sequence[Path]) -> bool:
    """Whether a link that leads to `target` opens it."""
    if any(part.startswith(".") and part not in KEEPERS for part in target.parts):
        return False
    above = [*shut, *root]
    return not any(one.is_relative_to(target) for one in above) and not any(map(target.is_relative_to, shut))


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
