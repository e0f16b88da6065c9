"""Tiny datasets of real video files, for tests of what comes after loading."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.videos import damage, write_video
from vcp_core.datasets.manifest import Dataset, Video


def make_dataset(
    root: Path,
    *,
    lengths: tuple[int, ...] = (100,),
    num_classes: int = 2,
    per_class: tuple[int, int] = (2, 1),
) -> Dataset:
    """Videos of `lengths` in turn, `per_class` = (train, test) of each class."""
    videos = []
    for label in range(num_classes):
        for number in range(sum(per_class)):
            name = f"class{label}/{number}.mp4"
            num_frames = lengths[(label * sum(per_class) + number) % len(lengths)]
            path = write_video(root / name, num_frames, seed=100 * label + number)
            videos.append(
                Video(
                    id=name,
                    label=f"class{label}",
                    split="train" if number < per_class[0] else "test",
                    group=None,
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    num_frames=num_frames,
                )
            )
    return Dataset(name="tiny", split_name="1", root=root, videos=tuple(sorted(videos, key=lambda v: v.id)))


def make_folder(root: Path, *, per_class: tuple[int, int] = (2, 1), num_frames: int = 100) -> Path:
    """The same as a folder with a table, as users have it: two classes, (train, test) videos of each."""
    rows = ["path,label,split"]
    for label in range(2):
        for number in range(sum(per_class)):
            name = f"class{label}/{number}.mp4"
            write_video(root / name, num_frames, seed=100 * label + number)
            rows.append(f"{name},class{label},{'train' if number < per_class[0] else 'test'}")
    (root / "dataset.csv").write_text("\n".join(rows) + "\n")
    return root


def write_ucf101(root: Path) -> Path:
    """Lists of the official size for made-up names, and videos for two classes of them."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    for name, groups, num in (("train", range(8, 26), 9537), ("test", range(1, 8), 3783)):
        ids = [f"C{i % 101}/v_C{i % 101}_g{groups[i // 101 % len(groups)]:02d}" for i in range(num)]
        lines = [f"{video}_c{i // 101 // len(groups) + 1:02d}.avi" for i, video in enumerate(ids)]
        (lists / f"{name}list01.txt").write_text("\r\n".join(lines))
        for seed, line in enumerate(line for line in lines if line.startswith(("C0/", "C1/"))):
            if seed < 4:
                write_video(root / "UCF-101" / line, 9, codec="mpeg4", seed=seed + 10 * len(groups))
    return root


def write_messy(root: Path) -> Path:
    """Two classes of four videos and a damaged one, and 12 files and folders that are no usable videos."""
    for seed in range(8):
        write_video(root / ("jump", "run")[seed % 2] / f"{seed // 2}.mp4", 20 + seed, seed=seed)
    damage(write_video(root / "run" / "damaged.avi", 60, codec="mpeg4", seed=9))
    for name in (
        "loose.mp4",
        "run/empty.mp4",
        "run/._0.mp4",
        "run/1.xyz",
        "jump/two\nlines.xyz",
        ".git/config",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "run" / "page.mp4").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    (root / "sit").mkdir()
    (root / "sit" / "notes.txt").touch()
    (root / "jump" / "gone.mp4").symlink_to("/nowhere/gone.mp4")
    (root / "jump" / "up").symlink_to("..")
    Path(os.fsdecode(os.fsencode(root) + b"/jump/caf\xe9.mp4")).touch()
    return root
