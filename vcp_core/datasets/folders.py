"""Load any folder of `class/video`, with or without a CSV file.

The first of these rules that applies makes the training side and the test side:
    test groups  the videos of the named groups are the test side
    listed       the CSV has a `split` column
    folders      the folder holds train/class/video and test/class/video (or val, if there is no test)
    hash         about 30 % of each class, chosen by the hash of the group (or of the path without groups)
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

TEST_SHARE = 0.3  # share of a class's videos on the test side, as in HMDB51's official splits


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The videos of a folder, before any file is read.

    Attributes:
        videos: The videos, sorted by id.
        split_name: The rule that made the sides: "hash", "listed", "folders", "test groups P3".
        not_taken: Other files and folders that were seen, by the reason why they are no videos.
        warnings: Warnings for every reader of a result.
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
    """List the videos of a folder with their labels and sides. No file is decoded.

    Args:
        root: The folder.
        csv: A table with the columns path, label and optionally group, split. If left out, groups.csv,
            videos.csv or dataset.csv in the folder, if there is one.
        test_groups: Groups whose videos are the test side. They overrule a `split` column and folders.
        suffixes: Suffixes of videos besides the known ones (".xyz").

    Raises:
        DatasetError: If there is no such folder, its layout is unknown, the table cannot be used, or there is
            no such test group.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train/wave/a.mp4", "train/clap/b.mp4", "test/wave/c.mp4", "test/clap/d.mp4"):
    ...         Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
    ...         Path(folder, name).touch()
    ...     listing = list_folder(Path(folder))
    >>> listing.split_name, [(video.label, video.split) for video in listing.videos]
    ('folders', [('clap', 'test'), ('wave', 'test'), ('clap', 'train'), ('wave', 'train')])
    """
    if not os.path.isdir(root):
        raise DatasetError("no such folder.", path=root)
    known = with_more(suffixes)
    csv = csv or find_table(root)
    if csv and suffixes:
        raise DatasetError(f"{csv.name} lists the videos, so suffixes do not matter. Leave --suffix out.")
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
    """Load a folder as a dataset. The arguments are those of `list_folder` and `index_videos`.

    Raises:
        DatasetError: As in `list_folder` and `index_videos`.
        StorageError: If the cache cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("wave/a.mp4", "clap/b.mp4"):
    ...         Path(folder, name).parent.mkdir()
    ...         Path(folder, name).touch()
    ...     try:
    ...         load(Path(folder))
    ...     except DatasetError as error:
    ...         print(str(error).partition(",")[0])
    2 of 2 classes have only one video or one group
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
    """Read the rows of a table, and count the other files of the folder."""
    rows = read_table(csv, root)
    layouts.refuse_lookalikes([row.id for row in rows])
    listed = (row.id for row in rows)
    table = root / csv.name if csv.parent.resolve() == root.resolve() else None
    tally = count_unlisted(root, listed, by=csv.name, suffixes=suffixes, table=table)
    return rows, tally, layouts.warn_of_spellings({row.label for row in rows})


def _of_scan(root: Path, suffixes: frozenset[str]) -> tuple[list[Row], Tally, list[str]]:
    """Make rows of the class folders, and count the other files of the folder."""
    found = layouts.scan(root, suffixes)
    rows = [Row(id=video.id, label=video.label, group=None, side=video.side) for video in found.videos]
    return rows, found.tally, found.warnings


def _without_unused(rows: list[Row], root: Path, tally: Tally) -> tuple[list[Row], list[str]]:
    """Keep the rows of both sides that are used, and warn of what happens to a validation side."""
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
            f"{len(lone)} of {len(sources)} classes have only one video or one group, so they would be on "
            f"one side only: {some(lone, most=10)}. Add videos to them, or leave them out."
        )


def _listing(rows: Iterable[Row], is_test: Iterable[bool], split_name: str) -> Listing:
    videos = [
        ListedVideo(id=row.id, label=row.label, split="test" if test else "train", group=row.group)
        for row, test in zip(rows, is_test, strict=True)
    ]
    return Listing(videos=videos, split_name=split_name)


def hash_split(videos: Sequence[tuple[str, str]]) -> set[str]:
    """Choose the groups of the test side: about 30 % of each class, but never all groups of a class.

    Args:
        videos: Group and label of each video.

    Returns:
        Names of groups. The same videos give the same groups, in any order of the videos.

    >>> sorted(hash_split([("p1", "wave"), ("p2", "wave"), ("p3", "wave")]))
    ['p2']
    """
    sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)  # label -> group -> videos
    for group, label in videos:
        sizes[label][group] += 1
    test: set[str] = set()
    # Classes of few groups come first, because they have the least choice.
    for label in sorted(sizes, key=lambda label: (len(sizes[label]), label)):
        groups = sizes[label]
        wanted = TEST_SHARE * groups.total()
        # SHA-256, because Python's own hash of a text differs from process to process.
        for group in sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest()):
            held = sum(num for other, num in groups.items() if other in test)
            takes_closer = held == 0 or held + groups[group] / 2 <= wanted
            if takes_closer and not any(set(other) <= test | {group} for other in sizes.values()):
                test.add(group)
    return test
