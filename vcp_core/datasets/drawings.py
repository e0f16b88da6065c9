"""The error for a folder of an unknown layout: what was seen, what is expected, what to do next."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError, Private
from vcp_core.catalog.names import counted
from vcp_core.datasets.scanning import Look, look
from vcp_core.datasets.suffixes import PICTURES, suffix_of

MOST = 6  # the most lines of one level of a drawing, and the most names in one line
LIST_FOLDERS = ("annotations", "annotation", "labels", "lists", "splits", "ucftraintestlist")

OFFICIAL = {spec.title: spec.name for spec in DATASETS.values() if spec.lists}
# Name patterns of datasets' own lists. vcpbench reads the lists of its catalog, which come first.
KNOWN_LISTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((spec.title, spec.lists) for spec in DATASETS.values() if spec.lists),
    ("Kinetics", ("kinetics*.csv", "validate.csv", "replacement_for_corrupted_k400*")),
    ("Something-Something v2", ("something-something-v2-*.json",)),
    ("Diving48", ("diving48_*.json",)),
    ("FineGym", ("gym99_*.txt", "gym288_*.txt")),
    ("Jester", ("jester-v1-*.csv",)),
    ("Moments in Time", ("moments_categories.txt", "trainingset.csv", "validationset.csv")),
    ("EPIC-Kitchens", ("epic_100_*.csv", "epic_*_action_labels.csv")),
    ("Charades", ("charades_v1_*.csv",)),
    ("HVU", ("hvu_*.csv",)),
    (
        "another tool",
        (
            *("*train.csv", "*val.csv", "*test.csv", "*train*.json", "*val*.json", "*test*.json"),
            *("*train*list*.txt", "*val*list*.txt", "*test*list*.txt", "train.txt", "val.txt", "test.txt"),
            *("metadata.csv", "labels.csv", "labels.json", "*.xlsx", "*.tsv", "annotations.*"),
        ),
    ),
)

EXPECTED = """\
vcpbench expects one of:
  FOLDER/
    CLASS/video.mp4          (a folder for each class)
  FOLDER/
    train/CLASS/video.mp4
    test/CLASS/video.mp4     (or val, where there is no test)
  FOLDER/
    videos.csv               (columns path,label; if you have them, group,split)"""


def refusal(root: Path, what: str, suffixes: frozenset[str], *, advice: str = "") -> DatasetError:
    """Make the error for a folder of an unknown layout, with a drawing of the folder.

    Args:
        root: The folder.
        what: A sentence that says what was seen.
        suffixes: Suffixes of videos, in lower case.
        advice: Sentences that say what to do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.mp4").touch()
    ...     error = refusal(Path(folder), "No video has a class.", frozenset({".mp4"}))
    >>> error.text().splitlines()[0].partition(": ")[2], error.text().splitlines()[3].strip()
    ('No video has a class.', 'a.mp4')
    """
    sentences = [what, advice, of_lists(root), _of_pictures(root, suffixes)]
    said = " ".join(filter(None, sentences))
    name = Private(root.resolve().name, "FOLDER")
    drawn = f"/\n{_drawing(root, suffixes)}\n{EXPECTED}"
    return DatasetError(f"{said}\nvcpbench saw:\n  ", name, drawn, path=root)


def lists_in(root: Path) -> dict[str, str]:
    """Find files that look like lists of videos: each path, with the dataset whose lists have such names.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("trainlist01.txt", "something-something-v2-train.json", "notes.md"):
    ...         Path(folder, name).touch()
    ...     lists_in(Path(folder))
    {'something-something-v2-train.json': 'Something-Something v2', 'trainlist01.txt': 'UCF101'}
    """
    folders = [root, *sorted(child for child in _children(root) if child.name.casefold() in LIST_FOLDERS)]
    return {
        file.relative_to(root).as_posix(): whose
        for folder in folders
        for file in sorted(_children(folder))
        if os.path.isfile(file) and not file.name.startswith(".") and (whose := _whose(file.name))
    }


def _whose(name: str) -> str | None:
    return next(
        (
            whose
            for whose, patterns in KNOWN_LISTS
            if any(fnmatchcase(name.casefold(), pattern) for pattern in patterns)
        ),
        None,
    )


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def of_lists(root: Path) -> str:
    """Say which list of videos a folder holds, and what to do with it; "" if there is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "trainlist01.txt").touch()
    ...     print(of_lists(Path(folder)))
    trainlist01.txt is a list of UCF101: try ucf101:FOLDER-OF-THE-VIDEOS --lists FOLDER-OF-THE-LISTS.
    """
    found = lists_in(root)
    if not found:
        return ""
    file, whose = next(iter(found.items()))
    if whose in OFFICIAL:
        return (
            f"{file} is a list of {whose}: "
            f"try {OFFICIAL[whose]}:FOLDER-OF-THE-VIDEOS --lists FOLDER-OF-THE-LISTS."
        )
    return f"{file} looks like a list of {whose}, which vcpbench does not read: write its rows to videos.csv."


def _of_pictures(root: Path, suffixes: frozenset[str]) -> str:
    """Give advice if folders of pictures stand in the place of videos; else ""."""
    for folder in look(root, suffixes).folders[:MOST]:
        for child in (folder, *look(folder, suffixes).folders[:MOST]):
            deeper = [child, *look(child, suffixes).folders[:1]]
            names = [path.name for one in deeper for _, path in look(one, suffixes).passed]
            if any(suffix_of(name) in PICTURES for name in names):
                return "vcpbench does not read folders of pictures. Make a video file of each."
    return ""


def _drawing(root: Path, suffixes: frozenset[str]) -> str:
    """Draw the contents of the folder: a line for each folder in it, and a line of files."""
    top = look(root, suffixes)
    names = [f"{child.name}/" for child in top.folders[:MOST]]
    width = max(map(len, names), default=0)
    lines = [
        f"    {name:<{width}}  {_contents(look(child, suffixes))}"
        for name, child in zip(names, top.folders, strict=False)
    ]
    rest = len(top.folders) - MOST
    lines += [f"    and {rest} more folders"] if rest > 0 else []
    files = [*top.videos, *(path.name for _, path in top.passed)]
    lines += [f"    {_some(files)}"] if files else []
    return "\n".join(lines or ["    (empty)"])


def _contents(inside: Look) -> str:
    """Say in a few words what a folder holds."""
    parts = []
    if inside.folders:
        names = _some(f"{folder.name}/" for folder in inside.folders)
        parts.append(f"{counted(len(inside.folders), 'folder')}: {names}")
    if inside.videos:
        parts.append(counted(len(inside.videos), "video"))
    kinds = Counter(suffix_of(path.name) or path.name for _, path in inside.passed)
    parts += [f"{counted(sum(kinds.values()), 'other file')} ({_some(kinds)})"] if kinds else []
    return ", ".join(parts) or "empty"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:MOST]) + (f", and {len(names) - MOST} more" if len(names) > MOST else "")
