"""Check that a list of videos can be evaluated. A list that cannot is refused, and the error names why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.names import counted, printable
from vcp_core.datasets.manifest import Dataset, LeftOut, ListedVideo, NotTaken, Video

Listed = Sequence[ListedVideo] | Sequence[Video]


def assemble(
    videos: Iterable[Video],
    *,
    name: str,
    split_name: str,
    root: Path,
    left_out: Iterable[LeftOut] = (),
    not_taken: Iterable[NotTaken] = (),
    licence: str = "unknown",
    warnings: Iterable[str] = (),
) -> Dataset:
    """Check usable videos, and make a dataset of them.

    Args:
        videos: The usable videos, in any order.
        name: As in `Dataset`.
        split_name: As in `Dataset`.
        root: As in `Dataset`.
        left_out: Listed videos that cannot be used.
        not_taken: Files that a scan saw and did not take.
        licence: As in `Dataset`.
        warnings: Warnings about the files.

    Raises:
        DatasetError: As `check_sides`.

    >>> from dataclasses import replace
    >>> one = Video(id="", label="wave", split="train", group=None, sha256="0" * 64, num_frames=96)
    >>> videos = [replace(one, id=f"{label}/{side}.mp4", label=label, split=side, sha256=label)
    ...     for label in ("wave", "clap") for side in ("train", "test")]
    >>> made = assemble(videos, name="gestures", split_name="1", root=Path("/data"))
    >>> print(made.warnings[0].partition(":")[0])
    2 files are on both sides under different names
    """
    videos = tuple(sorted(videos, key=lambda video: video.id))
    left_out = tuple(sorted(left_out, key=lambda video: video.id))
    not_taken = tuple(not_taken)
    try:
        check_sides(videos)
    except DatasetError as error:
        raise error.within(end=[_blame(left_out), _passed(not_taken)]) from None
    return Dataset(
        name=name,
        split_name=split_name,
        root=root,
        videos=videos,
        left_out=left_out,
        not_taken=not_taken,
        licence=licence,
        warnings=(*_absences(videos, left_out), *warnings, *_twins(videos)),
    )


def check_sides(videos: Listed) -> None:
    """Check ids, sides, classes and groups. No file is read, so a bad list is refused before any decoding.

    Raises:
        DatasetError: If there are no videos, an id stands there twice, a side is empty, there are fewer than
            two classes, a class is on one side only, or a group is on both sides.

    >>> check_sides([ListedVideo(id="wave/a.mp4", label="wave", split="train")])
    Traceback (most recent call last):
    vcp_core.catalog.errors.DatasetError: The test side has no videos: all 1 are on the other one.
    """
    if not videos:
        raise DatasetError("There are no usable videos.")
    twice = [name for name, count in Counter(video.id for video in videos).items() if count > 1]
    if twice:
        raise DatasetError(f"Listed more than once: {some(twice)}.")
    sides = {split: [video for video in videos if video.split == split] for split in ("train", "test")}
    for split, own in sides.items():
        if not own:
            raise DatasetError(f"The {split} side has no videos: all {len(videos)} are on the other one.")
    _check_classes({video.label for video in sides["train"]}, {video.label for video in sides["test"]})
    groups = [{video.group for video in own if video.group is not None} for own in sides.values()]
    leaks = sorted(groups[0] & groups[1])
    if leaks:
        raise DatasetError(
            f"{len(leaks)} groups have videos on both sides: {some(leaks)}. A network could recognise test "
            "videos by their source. Put each group on one side."
        )


def some(names: Iterable[str], most: int = 5) -> str:
    """List the first few names in order, fit to print, and the number of the rest.

    >>> some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    names = sorted(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + rest


def _check_classes(train: set[str], test: set[str]) -> None:
    if len(train | test) < 2:
        raise DatasetError(f"There is one class only, {some(train | test)}; at least two are needed.")
    alone = train ^ test
    if alone:
        where = [
            f"{side} only: {some(own)}"
            for side, own in (("train", train - test), ("test", test - train))
            if own
        ]
        raise DatasetError(
            f"{len(alone)} of {len(train | test)} classes have videos in one split only "
            f"({'; '.join(where)}). A class needs a video on each side. If there are groups, it needs videos "
            "of two groups."
        )


def _absences(videos: Sequence[Video], left_out: Sequence[LeftOut]) -> list[str]:
    if not left_out:
        return []
    return [
        f"{len(left_out)} of {len(videos) + len(left_out)} listed videos are left out, "
        f"for example {printable(left_out[0].id)}: {left_out[0].reason}."
    ]


def _blame(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return ""
    first = f"{printable(left_out[0].id)}: {left_out[0].reason}"
    return f" {len(left_out)} listed videos could not be used, for example {first}."


def _passed(not_taken: Sequence[NotTaken]) -> str:
    if not not_taken:
        return ""
    counts = ", ".join(f"{counted(files.count, 'file')} ({files.reason})" for files in not_taken[:3])
    return f" Seen and not taken: {counts}."


def _twins(videos: Sequence[Video]) -> list[str]:
    """Warn if the same bytes lie on both sides, or in two classes, under different names."""
    by_bytes = defaultdict(list)
    for video in videos:
        by_bytes[video.sha256].append(video)
    twins = [same for same in by_bytes.values() if len({video.split for video in same}) > 1]
    torn = [same for same in by_bytes.values() if len({video.label for video in same}) > 1]
    told = []
    if twins:
        pairs = some(" = ".join(video.id for video in same) for same in twins)
        told.append(
            f"{len(twins)} files are on both sides under different names: {pairs}. Scores may be too high."
        )
    if torn:
        pairs = some(" = ".join(video.id for video in same) for same in torn)
        told.append(
            f"The same file is in two classes under different names: {pairs}. No network can be right "
            "about both. Remove one of the two names."
        )
    return told
