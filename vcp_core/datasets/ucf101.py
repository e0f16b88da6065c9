"""UCF101 (Soomro et al., arXiv:1212.0402), from its official archives.

    <root>/UCF-101/<Class>/v_<Class>_gXX_cYY.avi
    <root>/ucfTrainTestlist/{trainlist,testlist}0{1,2,3}.txt

The clips of one group `gXX` of a class come from one source video.
"""

from __future__ import annotations

import re
from pathlib import Path

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.lists import check_sizes, first_holding, index_listed, read_pair, split_number
from vcp_core.datasets.manifest import Dataset, ListedVideo
from vcp_core.datasets.parallel import Progress

SPEC = DATASETS["ucf101"]
VIDEOS, LISTS = "UCF-101", SPEC.lists_folder  # folders in the two archives
_GROUP = re.compile(r"_(g\d\d)_c\d\d\.avi$")


def read_split(lists_dir: Path, split: str = "1") -> list[ListedVideo]:
    r"""Read the official lists of one split. The video files need not be there.

    Args:
        lists_dir: Folder of trainlist0k.txt and testlist0k.txt.
        split: "1", "2" or "3".

    Raises:
        DatasetError: If a list cannot be read, or does not have the official number of videos.
        UnknownName: If there is no such split.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("trainlist01.txt", "testlist01.txt"):
    ...         _ = Path(folder, name).write_text("Archery/v_Archery_g08_c01.avi 1\n")
    ...     try:
    ...         read_split(Path(folder))
    ...     except DatasetError as error:
    ...         print(error.text().partition(": ")[2])
    the train list of UCF101 split 1 has 1 videos; the official one has 9,537.
    """
    rows = read_pair(lists_dir, split_number(SPEC, split))
    listed = [
        ListedVideo(id=f"{label}/{file}", label=label, split=side, group=f"{label}/{_group(file)}")
        for label, file, side in rows
    ]
    return check_sizes(SPEC, split, listed, lists_dir)


def find_lists(root: Path) -> Path | None:
    """Find the lists beside or in `root`, the folder of the unpacked archives or its UCF-101; else None.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, LISTS).mkdir()
    ...     Path(folder, LISTS, "trainlist01.txt").touch()
    ...     find_lists(Path(folder)).name, find_lists(Path(folder, VIDEOS)).name
    ('ucfTrainTestlist', 'ucfTrainTestlist')
    """
    return first_holding("trainlist0[123].txt", (root / LISTS, root.parent / LISTS, root))


def is_home(root: Path) -> bool:
    """Tell whether UCF101's archives were unpacked here.

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
    """Load UCF101 from its unpacked archives.

    Args:
        root: The folder that holds UCF-101, or UCF-101 itself.
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
    no trainlist01
    """
    lists = lists or find_lists(root)
    if lists is None:
        raise DatasetError(
            f"no trainlist01.txt here or in {LISTS}. Unpack UCF101TrainTestSplits-"
            f"RecognitionTask.zip ({SPEC.source.split()[-1]}) beside UCF-101, or name the lists' folder.",
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


def _group(name: str) -> str:
    match = _GROUP.search(name)
    if not match:
        raise DatasetError(f"{name!r} does not end in _gXX_cYY.avi, as every video of UCF101 does.")
    return match[1]
