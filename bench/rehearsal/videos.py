"""Files of a rehearsal dataset, as `load_dataset` reads them: folders by side and class, or a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.rehearsal.manifest import like_ucf101
from bench.rehearsal.scenes import draw, encode
from vcp_core.datasets.parallel import each_in_threads

PER_CLASS = {"train": 5, "test": 3}


class Wanted(NamedTuple):
    """A file to make: its path, the numbers of its rule and its scene (`draw`), and its length."""

    path: Path
    rule: int
    look: int
    num_frames: int


def make(folder: Path, num_classes: int) -> list[Path]:
    """Make eight videos of each class, with UCF101's lengths. Files that are there are kept."""
    wanted = []
    lengths = iter(video.num_frames for video in like_ucf101(0.1).videos)
    for side, count in PER_CLASS.items():
        for label in range(num_classes):
            for number in range(count):
                path = folder / side / f"Class{label:03d}" / f"v_Class{label:03d}_g{number:02d}_{side}.avi"
                wanted.append(Wanted(path, label, 2 * number + (side == "test"), next(lengths)))
    write(wanted)
    return [one.path for one in wanted]


def make_part(folder: Path, part: float) -> int:
    """Make the videos of a part of UCF101's size and their table. Files that are there are kept.

    The videos of a group show one scene, which moves by the rule of the class.

    Returns:
        The number of videos.
    """
    videos = like_ucf101(part).videos
    rules = {label: number for number, label in enumerate(sorted({one.label for one in videos}))}
    looks = {group: number for number, group in enumerate(sorted({str(one.group) for one in videos}))}
    write(Wanted(folder / one.id, rules[one.label], looks[str(one.group)], one.num_frames) for one in videos)
    with (folder / "videos.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "group", "split"])
        table.writerows([one.id, one.label, one.group, one.split] for one in videos)
    return len(videos)


def write(wanted: Iterable[Wanted]) -> None:
    """Write files. Those that are there are kept."""

    def make_one(one: Wanted) -> None:
        if not one.path.exists():
            one.path.parent.mkdir(parents=True, exist_ok=True)
            part = one.path.with_name(f"part-{one.path.name}")
            encode(part, draw(one.rule, one.look, one.num_frames))
            part.rename(one.path)

    for _ in each_in_threads(make_one, wanted):
        pass
