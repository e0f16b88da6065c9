"""Shared functions of the readers of official train/test lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vcp_core.catalog.datasets import DatasetSpec
from vcp_core.catalog.errors import DatasetError, Private, UnknownName
from vcp_core.catalog.names import OnDisk
from vcp_core.datasets.index import index_videos
from vcp_core.datasets.manifest import Dataset, ListedVideo, Split
from vcp_core.datasets.parallel import Progress
from vcp_core.datasets.scanning import count_unlisted
from vcp_core.datasets.suffixes import SUFFIXES
from vcp_core.datasets.text import read_text

SIDES: tuple[Split, Split] = ("train", "test")
# People share lists with paths of their own machine. The pattern skips "./" or a whole path in front.
_LINE = re.compile(
    r"(?:\./|(?:[A-Za-z]:)?/(?:.*/)?)?(?P<label>[^/]+)/(?P<file>[^/]+\.avi)(?:\s+\d+)?"
)  # the number repeats the class


def split_number(spec: DatasetSpec, split: str) -> int:
    """Give the number of a split, which the names of its lists contain.

    Raises:
        UnknownName: If the dataset has no such split.

    >>> from vcp_core.catalog.datasets import DATASETS
    >>> split_number(DATASETS["ucf101"], "2")
    2
    >>> split_number(DATASETS["ucf101"], "4")
    Traceback (most recent call last):
    vcp_core.catalog.errors.UnknownName: No UCF101 split '4'. Known: 1, 2, 3.
    """
    if split not in spec.splits:
        raise UnknownName(f"{spec.title} split", split, spec.splits)
    return int(split)


def read_lines(path: Path) -> list[tuple[int, str]]:
    r"""Read the lines of a list that are not blank, each with its number.

    Raises:
        DatasetError: If there is no such file, or the file is not text.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = Path(file.name).write_text("Archery/a.avi 1\n\nBiking/b.avi 2\n")
    ...     read_lines(Path(file.name))
    [(1, 'Archery/a.avi 1'), (3, 'Biking/b.avi 2')]
    """
    lines = read_text(path, what="list").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def read_pair(lists_dir: Path, number: int) -> list[tuple[str, str, Split]]:
    r"""Read the training list and the test list of a split: label, file name and side of each line.

    A line is `label/file.avi`, or `label/file.avi class-number`.

    Raises:
        DatasetError: If a list cannot be read, or a line is not of this form.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "trainlist01.txt").write_text("Archery/a.avi 1\n")
    ...     _ = Path(folder, "testlist01.txt").write_text("C:\\data\\UCF-101\\Archery\\b.avi\n")
    ...     read_pair(Path(folder), 1)
    [('Archery', 'a.avi', 'train'), ('Archery', 'b.avi', 'test')]
    """
    rows = []
    for side in SIDES:
        path = lists_dir / f"{side}list{number:02d}.txt"
        for line_number, line in read_lines(path):
            match = _LINE.fullmatch(line.replace("\\", "/"))
            if not match:
                said = Private(repr(line))  # the line may hold a folder of the person who made the list
                raise DatasetError(path, f", line {line_number}: ", said, " is not 'class/video.avi'.")
            rows.append((match["label"], match["file"], side))
    return rows


def check_sizes(
    spec: DatasetSpec, split: str, listed: Iterable[ListedVideo], lists_dir: Path
) -> list[ListedVideo]:
    """Check that the lists have the official numbers of videos and classes, and sort the videos by id.

    Raises:
        DatasetError: If a side has another number of videos, or the lists have another number of classes.

    >>> from vcp_core.catalog.datasets import DATASETS
    >>> one = ListedVideo(id="Archery/v_Archery_g08_c01.avi", label="Archery", split="train", group="g08")
    >>> try:
    ...     check_sizes(DATASETS["ucf101"], "1", [one], Path("lists"))
    ... except DatasetError as error:
    ...     print(error)
    lists: the train list of UCF101 split 1 has 1 videos; the official one has 9,537.
    """
    videos = sorted(listed, key=lambda video: video.id)
    for side, expected in zip(SIDES, spec.splits[split], strict=True):
        num = sum(video.split == side for video in videos)
        if num != expected:
            raise DatasetError(
                f"the {side} list of {spec.title} split {split} has {num:,} videos; "
                f"the official one has {expected:,}.",
                path=lists_dir,
            )
    num_classes = len({video.label for video in videos})
    if num_classes != spec.num_classes:
        raise DatasetError(f"{num_classes} classes; {spec.title} has {spec.num_classes}.", path=lists_dir)
    return videos


def first_holding(pattern: str, folders: Iterable[Path]) -> Path | None:
    """Find the first of `folders` with a file that matches the glob pattern; None if there is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "lists").mkdir()
    ...     Path(folder, "lists", "trainlist02.txt").touch()
    ...     first_holding("trainlist0[123].txt", [Path(folder), Path(folder, "lists")]).name
    'lists'
    """
    return next((folder for folder in folders if matching(folder, pattern)), None)


def matching(folder: Path, pattern: str) -> list[Path]:
    """List the files of a folder that match the glob pattern, sorted, without a Mac's `._name` files.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b_test_split1.txt", "a_test_split1.txt", "._a_test_split1.txt"):
    ...         Path(folder, name).touch()
    ...     [path.name for path in matching(Path(folder), "*_test_split1.txt")]
    ['a_test_split1.txt', 'b_test_split1.txt']
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def index_listed(
    spec: DatasetSpec,
    listed: Iterable[ListedVideo],
    *,
    split: str,
    root: Path,
    progress: Progress | None,
) -> Dataset:
    """Make a dataset of the videos of official lists, and count the other files of the folder.

    Raises:
        DatasetError: If too few videos are there.
        StorageError: If the cache cannot be written.
    """
    # Lists and disk may write one name in two Unicode forms. Ids are those of the disk.
    disk = OnDisk(root)
    videos = [replace(video, id=disk.find(video.id)) for video in listed]
    by = f"the lists of split {split}"
    tally = count_unlisted(root, (video.id for video in videos), by=by, suffixes=SUFFIXES)
    return index_videos(
        videos,
        name=spec.name,
        split_name=split,
        root=root,
        licence=spec.licence,
        not_taken=tally.result(),
        progress=progress,
    )
