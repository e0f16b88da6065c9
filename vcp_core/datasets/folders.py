"""Any folder of `class/video`, with or without a CSV file that says more.

How the two sides are made, the first that applies:
    test groups  videos of the named groups are the test side
    listed       the CSV has a `split` column
    folders      the folder holds train/class/video and test/class/video (or val, where there is no test)
    hash         about 30 % of each class by the hash of the group (of the path where there are none)
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.names import one_form, printable
from vcp_core.datasets import layouts
from vcp_core.datasets.checks import check_sides, some
from vcp_core.datasets.index import index_videos
from vcp_core.datasets.manifest import Dataset, ListedVideo, NotTaken
from vcp_core.datasets.parallel import Progress
from vcp_core.datasets.scanning import UNUSED_SIDE, Tally, count_unlisted
from vcp_core.datasets.sides import test_side
from vcp_core.datasets.suffixes import with_more
from vcp_core.datasets.tables import Row, find_table, read_table

TEST_SHARE = 0.3  # of the videos of a class, as HMDB51's official splits


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds, before anyone has looked into the files.

    Attributes:
        videos: Sorted by id.
        split_name: How the sides were made: "hash", "listed", "folders", "test groups P3".
        not_taken: What was seen and is not among the videos, by reason.
        warnings: What a reader of any result must know.
    """

    videos: list[ListedVideo]
    split_name: str
    not_taken: tuple[NotTaken, ...] = ()
    warnings: tuple[str, ...] = ()


def list_folder(
    root: Path,
    *,
    csv: Path | None = None,
    test_groups: Sequence[str] = (),
    suffixes: Sequence[str] = (),
) -> Listing:
    """The labelled videos of a folder, each on a side.

    Args:
        root: The folder.
        csv: Table of columns path, label and optionally group, split; without it, groups.csv, videos.csv or
            dataset.csv in the folder, if there is one.
        test_groups: Groups whose videos are the test side, whatever else says so.
        suffixes: Of videos, beside the known ones (".xyz").

    Raises:
        DatasetError: If there is no such folder, its layout is not known, the table is not a good one, or a
            test group does not exist.
    """
    if not os.path.isdir(root):
        raise DatasetError("no such folder.", path=root)
    known = with_more(suffixes)
    csv = csv or find_table(root)
    if csv and suffixes:
        raise DatasetError(f"{csv.name} lists the videos, whatever their suffix. Leave --suffix out.")
    rows, tally, warnings = _of_table(csv, root, known) if csv else _of_scan(root, known)
    rows.sort(key=lambda row: row.id)
    if not test_groups:
        rows, told = _without_unused(rows, root, tally)
        warnings = [*told, *warnings]
    listing = _on_sides(rows, tuple(map(one_form, test_groups)))
    return replace(listing, not_taken=tally.result(), warnings=tuple(warnings))


def load(
    root: Path,
    *,
    csv: Path | None = None,
    test_groups: Sequence[str] = (),
    suffixes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Dataset:
    """A folder as a dataset; arguments as `list_folder` and `index_videos`.

    Raises:
        DatasetError: As these two.
        StorageError: If the cache cannot be written.
    """
    listing = list_folder(root, csv=csv, test_groups=test_groups, suffixes=suffixes)
    try:
        check_sides(listing.videos)
    except DatasetError as error:  # what was not taken is often the reason
        raise error.within(end=[f" {warning}" for warning in listing.warnings]) from None
    return index_videos(
        listing.videos,
        name=printable(root.resolve().name),
        split_name=listing.split_name,
        root=root,
        not_taken=listing.not_taken,
        warnings=listing.warnings,
        progress=progress,
    )


def _of_table(csv: Path, root: Path, suffixes: frozenset[str]) -> tuple[list[Row], Tally, list[str]]:
    """Rows of a table, and what else lies in the folder."""
    rows = read_table(csv, root)
    layouts.refuse_lookalikes([row.id for row in rows])
    listed = (row.id for row in rows)
    table = root / csv.name if csv.parent.resolve() == root.resolve() else None
    tally = count_unlisted(root, listed, by=csv.name, suffixes=suffixes, table=table)
    return rows, tally, layouts.warn_of_spellings({row.label for row in rows})


def _of_scan(root: Path, suffixes: frozenset[str]) -> tuple[list[Row], Tally, list[str]]:
    """Rows of class folders, and what else lies in the folder."""
    found = layouts.scan(root, suffixes)
    rows = [Row(id=video.id, label=video.label, group=None, side=video.side) for video in found.videos]
    return rows, found.tally, found.warnings


def _without_unused(rows: list[Row], root: Path, tally: Tally) -> tuple[list[Row], list[str]]:
    """Rows of the training and the test side, and a warning that says what becomes of the validation side."""
    sides = Counter(row.side for row in rows if row.side)
    if not sides["val"]:
        return rows, []
    if test_side(sides) == "val":
        return rows, [
            f"There is no test side: the {sides['val']} videos of the validation side are tested on. "
            "Scores are too high if the network was chosen by them."
        ]
    for row in rows:
        if row.side == "val":
            tally.add(UNUSED_SIDE, root / row.id)
    return [row for row in rows if row.side != "val"], [
        f"The {sides['val']} videos of the validation side are not used: the test side is tested on."
    ]


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
    if any(row.side for row in rows):
        how = "listed" if any(row.line for row in rows) else "folders"
        return _listing(rows, [row.side != "train" for row in rows], how)
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
