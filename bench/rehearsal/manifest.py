"""A dataset of UCF101's shape, without its videos: names, classes, groups, sides and lengths."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from vcp_core.datasets.manifest import Dataset, Video

NUM_CLASSES, GROUPS_PER_CLASS = 101, 25
TEST_GROUPS = 7  # of each class; split 1 tests on the first seven
NUM_TRAIN, NUM_TEST = 9537, 3783  # trainlist01.txt and testlist01.txt
# Lengths are log-normal, with 186 frames on average: UCF101 has 2.5 million frames in 13,320 files.
# The spread is a guess that leaves as few videos under 64 frames as UCF101 has, 2 %.
MEDIAN_FRAMES, SPREAD = 167, 0.47
LEAST_FRAMES, MOST_FRAMES = 29, 1776


def like_ucf101(part: float = 1.0, *, seed: int = 0) -> Dataset:
    """Make a dataset with UCF101's classes, groups, sides and lengths.

    Args:
        part: This part of the videos, of every class and side alike. Below a tenth, of fewer classes: each
            class keeps about as many videos as in a tenth.
        seed: Another seed gives other lengths.
    """
    rng = np.random.default_rng(seed)
    num_classes = min(NUM_CLASSES, max(2, round(10 * part * NUM_CLASSES)))
    test_groups = [(c, g) for c in range(num_classes) for g in range(1, TEST_GROUPS + 1)]
    train_groups = [(c, g) for c in range(num_classes) for g in range(TEST_GROUPS + 1, GROUPS_PER_CLASS + 1)]
    videos = []
    for split, groups, full in (("test", test_groups, NUM_TEST), ("train", train_groups, NUM_TRAIN)):
        count = round(part * full)
        for number in range(count):
            # The groups take turns. So all have about as many videos, and each class has all its groups.
            label, group = groups[
                number * len(groups) // count if count < len(groups) else number % len(groups)
            ]
            name = f"Class{label:03d}/v_Class{label:03d}_g{group:02d}_c{number // len(groups) + 1:02d}.avi"
            frames = int(np.exp(np.log(MEDIAN_FRAMES) + SPREAD * rng.standard_normal()))
            videos.append(
                Video(
                    id=name,
                    label=f"Class{label:03d}",
                    split="test" if split == "test" else "train",
                    group=f"Class{label:03d}_g{group:02d}",
                    sha256=hashlib.sha256(name.encode()).hexdigest(),
                    num_frames=min(max(frames, LEAST_FRAMES), MOST_FRAMES),
                )
            )
    return Dataset(name="like-ucf101", split_name="1", root=Path("nowhere"), videos=tuple(videos))
