"""Any folder of `class/video`, with or without a CSV file that says more.

How the two sides are made, the first that applies:
    test groups  videos of the named groups are the test side
    listed       the CSV has a `split` column
    folders      the folder holds train/class/video and test/class/video
    hash         about 30 % of each class by the hash of the group (of the path where there are none)
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.checks import some
from vcp_core.datasets.index import index_videos
from vcp_core.datasets.manifest import Dataset, ListedVideo, Split
from vcp_core.datasets.parallel import Progress
from vcp_core.datasets.tables import Row, find_table, read_table

TEST_SHARE = 0.3  # of the videos of a class, as HMDB51's official splits
SUFFIXES = frozenset(
    ".3gp .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .webm .wmv".split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds, before anyone has looked into the files.

    Attributes:
        videos: Sorted by id.
        split_name: How the sides were made: "hash", "listed", "folders", "test groups P3".
    """

    videos: list[ListedVideo]
    split_name: str


def list_folder(root: Path, *, csv: Path | None = None, test_groups: Sequence[str] = ()) -> Listing:
    """The labelled videos of a folder, each on a side.

    Args:
        root: The folder.
        csv: Table of columns path, label and optionally group, split; without it, groups.csv, videos.csv or
            dataset.csv in the folder, if there is one.
        test_groups: Groups whose videos are the test side, whatever else says so.

    Raises:
        DatasetError: If there is no such folder, it holds no `class/video`, the table is not a good one, or
            a test group does not exist.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder.")
    csv = csv or find_table(root)
    rows = read_table(csv, root) if csv else _scan(root)
    return _on_sides(sorted(rows, key=lambda row: row.id), tuple(test_groups))


def load(
    root: Path,
    *,
    csv: Path | None = None,
    test_groups: Sequence[str] = (),
    progress: Progress | None = None,
) -> Dataset:
    """A folder as a dataset; arguments as `list_folder` and `index_videos`.

    Raises:
        DatasetError: As these two.
        StorageError: If the cache cannot be written.
    """
    listing = list_folder(root, csv=csv, test_groups=test_groups)
    return index_videos(
        listing.videos,
        name=root.resolve().name,
        split_name=listing.split_name,
        root=root,
        progress=progress,
    )


def _scan(root: Path) -> list[Row]:
    """Rows of class/video, or of train/class/video and test/class/video; deeper files belong to the class."""
    sides: tuple[tuple[Split | None, Path], ...] = ((None, root),)
    if all(any(child.is_dir() for child in _children(root / side)) for side in ("train", "test")):
        sides = (("train", root / "train"), ("test", root / "test"))
    rows = [
        Row(id=file.relative_to(root).as_posix(), label=folder.name, group=None, split=side)
        for side, base in sides
        for folder in _children(base)
        if folder.is_dir()
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    ]
    if not rows:
        raise DatasetError(
            f"{root}: no videos in class folders. Put every video into a folder named for its class "
            "(class/video.mp4), or list them in a videos.csv with columns path and label."
        )
    return rows


def _children(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _on_sides(rows: Sequence[Row], test_groups: tuple[str, ...]) -> Listing:
    if test_groups:
        known = {row.group for row in rows if row.group is not None}
        strange = set(test_groups) - known
        if strange:
            has = (
                f"There are {some(known)}."
                if known
                else "No groups are given; a CSV's `group` column gives them."
            )
            raise DatasetError(f"No group {some(strange)}. {has}")
        return _listing(
            rows, [row.group in test_groups for row in rows], f"test groups {','.join(test_groups)}"
        )
    if any(row.split for row in rows):
        how = "listed" if any(row.line for row in rows) else "folders"
        return _listing(rows, [row.split == "test" for row in rows], how)
    _refuse_lone_classes(rows)
    test = hash_split([(row.group or row.id, row.label) for row in rows])
    return _listing(rows, [(row.group or row.id) in test for row in rows], "hash")


def _refuse_lone_classes(rows: Sequence[Row]) -> None:
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        sources[row.label].add(row.group or row.id)
    lone = [label for label, own in sources.items() if len(own) == 1]
    if lone:
        raise DatasetError(
            f"{len(lone)} of {len(sources)} classes would be in one split only, having just one video or one "
            f"group: {some(lone, most=10)}. Add videos to them, or leave them out."
        )


def _listing(rows: Iterable[Row], is_test: Iterable[bool], split_name: str) -> Listing:
    videos = [
        ListedVideo(id=row.id, label=row.label, split="test" if test else "train", group=row.group)
        for row, test in zip(rows, is_test, strict=True)
    ]
    return Listing(videos=videos, split_name=split_name)


def hash_split(videos: Sequence[tuple[str, str]]) -> set[str]:
    """The groups of the test side: about 30 % of each class, never the last group that a class can train on.

    Args:
        videos: Group and label of each video.

    Returns:
        Names of groups. The same videos give the same groups, in whatever order they come.
    """
    sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)  # label -> group -> videos
    for group, label in videos:
        sizes[label][group] += 1
    test: set[str] = set()
    for label in sorted(sizes, key=lambda label: (len(sizes[label]), label)):  # those with least choice first
        groups = sizes[label]
        wanted = TEST_SHARE * groups.total()
        for group in sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest()):
            held = sum(num for other, num in groups.items() if other in test)
            takes_closer = held == 0 or held + groups[group] / 2 <= wanted
            if takes_closer and not any(set(other) <= test | {group} for other in sizes.values()):
                test.add(group)
    return test
