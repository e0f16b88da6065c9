"""Files of a rehearsal dataset, in folders by side and class, as `load_dataset` reads them."""

from __future__ import annotations

from pathlib import Path

from bench.rehearsal.manifest import like_ucf101
from bench.rehearsal.scenes import draw, encode
from vcp_core.datasets.parallel import each_in_threads

PER_CLASS = {"train": 5, "test": 3}


def make(folder: Path, num_classes: int) -> list[Path]:
    """Make eight videos of each class, with UCF101's lengths. Files that are there are kept."""
    wanted = []
    lengths = iter(video.num_frames for video in like_ucf101(0.1).videos)
    for side, count in PER_CLASS.items():
        for label in range(num_classes):
            for number in range(count):
                path = folder / side / f"Class{label:03d}" / f"v_Class{label:03d}_g{number:02d}_{side}.avi"
                wanted.append((path, label, 2 * number + (side == "test"), next(lengths)))

    def write(one: tuple[Path, int, int, int]) -> None:
        path, label, look, num_frames = one
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"part-{path.name}")
            encode(part, draw(label, look, num_frames))
            part.rename(path)

    for _ in each_in_threads(write, wanted):
        pass
    return [path for path, *_ in wanted]
