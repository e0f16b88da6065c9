"""Load datasets: from a name or a folder to a checked list of labelled videos. No torch is needed.

manifest.py    the dataset as a type: videos, labels, sides, fingerprint
ucf101.py      the official archives and lists
hmdb51.py      the official archives and lists
playground/    built-in videos, drawn by a program
folders.py     any folder of class/video, with or without a table
layouts.py     find the folders that are classes, and their sides
scanning.py    sort the files of a folder into videos and others, and count the others by reason
suffixes.py    the suffixes of videos
drawings.py    draw a folder of an unknown layout, for an error message
sides.py       names of the training, validation and test side
tables.py      tables of videos
lists.py       shared functions of the readers of official lists
text.py        read text files from any editor
index.py       hash every file and count its frames, once
parallel.py    two threads for index.py
checks.py      check that a list of videos can be evaluated
summary.py     a summary of a dataset for users
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol as Interface
from typing import cast

from vcp_core.catalog.datasets import DATASETS, loading
from vcp_core.catalog.errors import DatasetError, UnknownName
from vcp_core.catalog.names import printable
from vcp_core.datasets import folders, playground
from vcp_core.datasets.manifest import Dataset
from vcp_core.datasets.parallel import Progress
from vcp_core.progress import Counts, counted


class OfficialReader(Interface):
    """The functions of a module that reads a dataset's official archives."""

    def is_home(self, root: Path) -> bool:
        """Tell whether the archives were unpacked in `root`."""

    def load(self, root: Path, *, split: str, lists: Path | None, progress: Progress | None) -> Dataset:
        """Load the dataset from its unpacked archives."""


__all__ = ["Dataset", "load_dataset"]


@functools.cache
def _reader(name: str) -> OfficialReader:
    """Import the module that reads a dataset's official layout."""
    module = DATASETS[name].reader
    assert module is not None
    return cast(OfficialReader, importlib.import_module(module))


def load_dataset(
    name_or_path: str | Path,
    *,
    split: str = "1",
    csv: Path | str | None = None,
    test_groups: Sequence[str] = (),
    lists: Path | str | None = None,
    suffixes: Sequence[str] = (),
    progress: Counts | bool | None = True,
) -> Dataset:
    r"""Load a dataset for an evaluation. The first time, this decodes every video to count its frames.

    Args:
        name_or_path: "playground", "playground-64", "playground-136", "playground-344", "ucf101:<folder>",
            "hmdb51:<folder>", or any folder of `class/video`. A folder with UCF101 or HMDB51 and its official
            lists is recognised.
        split: The official split.
        csv: For a folder: the table of its videos, if it is not groups.csv, videos.csv or dataset.csv inside.
        test_groups: For a folder: the groups whose videos are the test side.
        lists: For UCF101 and HMDB51: the folder of the official lists, if it is not beside the videos.
        suffixes: For a folder: suffixes of videos besides the known ones (".xyz").
        progress: Called with (videos done, videos in all) while videos are decoded or made. True shows a
            progress line in a terminal or a notebook.

    Raises:
        UnknownName: If there is neither a dataset nor a folder of this name, or no such split.
        DatasetError: If the dataset cannot be evaluated as it stands, or an option does not go with it.
        StorageError: If the cache or the playground's folder cannot be written.

    >>> import tempfile
    >>> from unittest import mock
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, VCPBENCH_CACHE=folder):
    ...     for grey, name in enumerate(("clap/a", "clap/b", "wave/a", "wave/b")):
    ...         path = Path(folder, "gestures", f"{name}.y4m")
    ...         path.parent.mkdir(parents=True, exist_ok=True)
    ...         frame = b"FRAME\n" + bytes([grey]) * 1536
    ...         _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 20 * frame)
    ...     found = load_dataset(Path(folder, "gestures"))
    >>> found.classes, [(video.id, video.num_frames) for video in found.side("test")]
    (('clap', 'wave'), [('clap/b.y4m', 20), ('wave/b.y4m', 20)])
    """
    given = {"--csv": csv, "--lists": lists, "--split": None if split == "1" else split}
    source = [str(name_or_path)]
    several = [("--test-groups", group) for group in test_groups] + [("--suffix", one) for one in suffixes]
    for option, value in [*given.items(), *several]:
        source += [option, str(value)] if value else []
    table, lists = (Path(path) if path else None for path in (csv, lists))
    with counted(loading(name_or_path), progress) as tell:
        found = _load(name_or_path, split, table, test_groups, lists, suffixes, tell)
    return dataclasses.replace(found, source=tuple(map(printable, source)))


def _load(
    name_or_path: str | Path,
    split: str,
    csv: Path | None,
    test_groups: Sequence[str],
    lists: Path | None,
    suffixes: Sequence[str],
    progress: Progress | None,
) -> Dataset:
    name, path = _resolve(name_or_path)
    if name is None and not csv and not test_groups and not suffixes:
        name = next(
            (spec.name for spec in DATASETS.values() if spec.reader and _reader(spec.name).is_home(path)),
            None,
        )
    if name is None:
        _refuse_options(path, split=split != "1", lists=lists)
        return folders.load(path, csv=csv, test_groups=test_groups, suffixes=suffixes, progress=progress)
    _refuse_options(name, csv=csv, test_groups=test_groups, suffixes=suffixes)
    if DATASETS[name].built_in:
        _refuse_options(name, split=split != "1", lists=lists)
        return playground.load(name, progress=progress)
    return _reader(name).load(path, split=split, lists=lists, progress=progress)


def _resolve(name_or_path: str | Path) -> tuple[str | None, Path]:
    """Split the argument into the dataset's name (None for a folder alone) and its folder."""
    text = str(name_or_path)
    name, colon, folder = text.partition(":")
    if isinstance(name_or_path, str) and name in DATASETS:
        built_in = DATASETS[name].built_in
        if built_in and colon:
            raise DatasetError(f"{name} takes no folder, because vcpbench makes its videos. Write {name}.")
        if not built_in and not folder:
            raise DatasetError(f"{name} needs the folder of its videos. Write {_form(name)}.")
        path = _at_home(folder)
        if not built_in:
            _refuse_no_folder(path)
        return name, path
    path = _at_home(name_or_path)
    if not os.path.exists(path) and not text.startswith(("/", ".", "~")):
        forms = [_form(one) for one in DATASETS]
        near = [f"{one}:{folder}" for one in DATASETS if colon and _bare(one) == _bare(name)]
        raise UnknownName("dataset or folder", text, [*forms, *near, "<folder>"])
    _refuse_no_folder(path)
    return None, path


def _at_home(folder: str | Path) -> Path:
    """Replace `~` or `~user` by the home folder."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise DatasetError("There is no folder ", Path(folder), " (no such user).") from error


def _form(name: str) -> str:
    """Write the form in which a user names a dataset of the catalog."""
    return name if DATASETS[name].built_in else f"{name}:<folder>"


def _refuse_no_folder(path: Path) -> None:
    """Refuse a path that is no folder or may not be read, and say what to give instead."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            with os.scandir(path):  # fails without the right to list the folder
                os.stat(os.path.join(path, "."))  # fails without the right to use its entries
            return
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        missing = isinstance(error, FileNotFoundError)
        if missing:
            raise DatasetError("There is no folder ", path, f" ({reason}).") from None
        raise DatasetError("The folder ", path, f" cannot be read ({reason}).") from None
    advice: tuple[str | Path, ...] = ("Give the folder that holds the videos; unpack an archive first.",)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        advice = ("Give the folder of the videos, and the table by --csv ", path, ".")
    raise DatasetError(path, " is a file and no folder. ", *advice)


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _refuse_options(what: str | Path, **given: object) -> None:
    """An option that would be ignored is an error: its user meant something by it."""
    ignored = [name for name, value in given.items() if value]
    if ignored:
        raise DatasetError(what, f" does not take {' or '.join(ignored)}. Leave it out.")
