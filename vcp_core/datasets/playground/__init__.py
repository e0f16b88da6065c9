"""The built-in videos: eight motions in fifty scenes, made on this machine, the same for everyone.

    bounce   flutter   rise   roll   spiral   swing   throw   zigzag

Classes differ by motion alone. All videos of a group share scene, body and light, and no group is on both
sides. The files are real H.264, so a whole evaluation can be tried without a download.

    make.py     choose the videos, encode them, write the manifest
    actions.py  the eight motions
    scene.py    the look of a group: body, light, frames
    scenery.py  the empty scene of a group
    chance.py   random numbers that are the same on every machine
"""

from __future__ import annotations

from pathlib import Path

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.paths import data_dir
from vcp_core.datasets.checks import assemble
from vcp_core.datasets.manifest import Dataset
from vcp_core.datasets.parallel import Progress
from vcp_core.datasets.playground.make import (
    RECIPE,
    VIDEOS_PER_GROUP,
    make,
    manifest_name,
    plan_videos,
    read_manifest,
    render,
)

__all__ = ["load", "make", "plan_videos", "render"]

PER_TEST_GROUP = {"playground-136": 2}  # videos of a test group, on average; other playgrounds have 4


def load(
    name: str = "playground", *, folder: Path | None = None, seed: int = 0, progress: Progress | None = None
) -> Dataset:
    """Load the playground. The first use makes its videos.

    Args:
        name: "playground" is the whole. "playground-64" has its first sixteen groups. "playground-136" has
            ten groups to train on, and 96 videos of 47 groups to test on. "playground-344" has the training
            side of "playground", and 200 videos to test on.
        folder: The folder of the videos; by default datasets/playground-RECIPE in the user's data folder.
        seed: The seed of the playground. Each seed needs a folder of its own.
        progress: Called with (videos made, videos in all) while videos are made.

    Raises:
        UnknownName: If there is no such dataset.
        DatasetError: If the folder holds another playground, or a file in it was changed.
        StorageError: If the folder cannot be written.

    >>> try:
    ...     load("ucf101")
    ... except DatasetError as error:
    ...     print(str(error).partition(" See")[0])
    vcpbench does not make the videos of ucf101.
    """
    spec = DATASETS[name]
    if not spec.built_in:
        made_here = ", ".join(known.name for known in DATASETS.values() if known.built_in)
        raise DatasetError(
            f"vcpbench does not make the videos of {name}. See docs/datasets.md. It makes {made_here}."
        )
    (split_name, (num_train, num_test)), *_ = spec.splits.items()
    folder = folder or data_dir() / "datasets" / f"playground-{RECIPE}"
    manifest = folder / manifest_name(num_train + num_test)
    videos = read_manifest(manifest, seed=seed)
    if videos is None:
        each = PER_TEST_GROUP.get(name, VIDEOS_PER_GROUP)
        make(
            folder,
            num_train=num_train,
            num_test=num_test,
            per_test_group=each,
            seed=seed,
            progress=progress,
        )
        videos = read_manifest(manifest, seed=seed)
    assert videos is not None
    return assemble(videos, name=name, split_name=split_name, root=folder, licence=spec.licence)
