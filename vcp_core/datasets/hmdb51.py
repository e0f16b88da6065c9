"""HMDB51 (Kuehne et al., ICCV 2011), from its official archives.

    <root>/<class>/<source>_<class>_<body>_<camera>_..._<n>.avi, or the same under <root>/hmdb51_org
    <root>/testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt

A line of a list is `file id`, id 1 for training, 2 for test, 0 for neither. Lists with one `class/file`
a line (trainlist01.txt, testlist01.txt) are read as well.

The clips of one class whose names begin with the same source were cut from one film or upload; the
official splits keep them on one side, so they make a group.
"""

from __future__ import annotations

import re
from pathlib import Path

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError, Private
from vcp_core.datasets.lists import (
    SIDES,
    check_sizes,
    first_holding,
    index_listed,
    matching,
    read_lines,
    read_pair,
    split_number,
)
from vcp_core.datasets.manifest import Dataset, ListedVideo, Split
from vcp_core.datasets.parallel import Progress

SPEC = DATASETS["hmdb51"]
VIDEOS, LISTS = "hmdb51_org", SPEC.lists_folder
_OFFICIAL_LINE = re.compile(r"(?P<file>\S.*\.avi)\s+(?P<id>[012])")


def read_split(lists_dir: Path, split: str = "1") -> list[ListedVideo]:
    r"""Read the official lists of one split. The video files need not be there.

    Args:
        lists_dir: Folder of <class>_test_split<k>.txt, or of trainlist0k.txt and testlist0k.txt.
        split: "1", "2" or "3".

    Raises:
        DatasetError: If a list cannot be read, or does not have the official number of videos.
        UnknownName: If there is no such split.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "wave_test_split1.txt").write_text("a.avi 1\nb.avi 2\nc.avi 0\n")
    ...     try:
    ...         read_split(Path(folder))
    ...     except DatasetError as error:
    ...         print(error.text().partition(": ")[2])
    the train list of HMDB51 split 1 has 1 videos; the official one has 3,570.
    """
    number = split_number(SPEC, split)
    official = matching(lists_dir, f"*_test_split{number}.txt")
    rows = (
        [row for path in official for row in _read_class(path)] if official else read_pair(lists_dir, number)
    )
    listed = [
        ListedVideo(id=f"{label}/{file}", label=label, split=side, group=_group(label, file))
        for label, file, side in rows
    ]
    return check_sizes(SPEC, split, listed, lists_dir)


def find_lists(root: Path) -> Path | None:
    """Find the lists beside or in `root`, the folder of the archives or its hmdb51_org; else None.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in (VIDEOS, LISTS):
    ...         Path(folder, name).mkdir()
    ...     Path(folder, LISTS, "wave_test_split1.txt").touch()
    ...     find_lists(Path(folder, VIDEOS)).name, find_lists(Path(folder)).name
    ('testTrainMulti_7030_splits', 'testTrainMulti_7030_splits')
    """
    folders = (root / LISTS, root.parent / LISTS, root)
    return first_holding("*_test_split[123].txt", folders) or first_holding("trainlist0[123].txt", folders)


def is_home(root: Path) -> bool:
    """Tell whether HMDB51's archives were unpacked here.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     before = is_home(Path(folder))
    ...     Path(folder, LISTS).mkdir()
    ...     before, is_home(Path(folder))
    (False, True)
    """
    return (root / LISTS).is_dir() or (root.name == VIDEOS and (root.parent / LISTS).is_dir())


def load(
    root: Path, *, split: str = "1", lists: Path | None = None, progress: Progress | None = None
) -> Dataset:
    """Load HMDB51 from its unpacked archives.

    Args:
        root: The folder of the class folders, or of hmdb51_org.
        split: "1", "2" or "3".
        lists: Folder of the lists, if it is not beside the videos.
        progress: As in `index_videos`.

    Raises:
        DatasetError: If the lists are not found or not the official ones, or too few videos are there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         load(Path(folder))
    ...     except DatasetError as error:
    ...         print(error.text().partition(": ")[2].partition(".")[0])
    no testTrainMulti_7030_splits here
    """
    lists = lists or find_lists(root)
    if lists is None:
        raise DatasetError(
            f"no {LISTS} here. Unpack test_train_splits.rar ({SPEC.source.split()[-1]}) beside the "
            "class folders, or name the lists' folder.",
            path=root,
        )
    videos = root / VIDEOS
    return index_listed(
        SPEC,
        read_split(lists, split),
        split=split,
        root=videos if videos.is_dir() else root,
        progress=progress,
    )


def _read_class(path: Path) -> list[tuple[str, str, Split]]:
    label = path.name.rpartition("_test_split")[0]
    rows: list[tuple[str, str, Split]] = []
    for number, line in read_lines(path):
        match = _OFFICIAL_LINE.fullmatch(line)
        if not match:
            raise DatasetError(
                path, f", line {number}: ", Private(repr(line)), " is not 'video.avi 0', 1 or 2."
            )
        if match["id"] != "0":
            rows.append((label, match["file"], SIDES[int(match["id"]) - 1]))
    return rows


def _group(label: str, file: str) -> str | None:
    match = re.match(rf"(.+)_{re.escape(label)}_\w+_(?:cm|nm)_np\d", file)
    return f"{label}/{match[1]}" if match else None
