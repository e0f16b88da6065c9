"""What people ask of a dataset first: one summary for the command line, the service and the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from vcp_core.datasets.manifest import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """Plain values, ready for JSON.

    `seen` counts the files that were looked at or passed over: those that were taken, those that the dataset
    lists and that cannot be used (`left_out`), and those that a scan did not take (`not_taken`). A folder
    that was not entered counts as one.
    """
    lengths = sorted(video.num_frames for video in dataset.videos)
    damaged = [video for video in dataset.videos if video.num_damaged or video.num_failed_packets]
    num_not_taken = sum(files.count for files in dataset.not_taken)
    return {
        "split": dataset.split_name,
        "licence": dataset.licence,
        "classes": {name: _sides(dataset, name) for name in dataset.classes},
        "videos": _sides(dataset),
        "groups": len({video.group for video in dataset.videos if video.group is not None}),
        "frames": {"least": lengths[0], "median": lengths[len(lengths) // 2], "most": lengths[-1]},
        "seen": len(dataset.videos) + len(dataset.left_out) + num_not_taken,
        "taken": len(dataset.videos),
        "left_out": [asdict(video) for video in dataset.left_out],
        "left_out_by_reason": dict(Counter(video.reason for video in dataset.left_out).most_common()),
        "not_taken": [asdict(files) for files in dataset.not_taken],
        "damaged": {
            "videos": len(damaged),
            "frames": sum(video.num_damaged for video in damaged),
            "failed_packets": sum(video.num_failed_packets for video in damaged),
        },
        "streams": {video.id: video.stream for video in dataset.videos if video.stream},
        "warnings": list(dataset.warnings),
    }


def _sides(dataset: Dataset, label: str | None = None) -> dict[str, int]:
    counts = Counter(video.split for video in dataset.videos if label is None or video.label == label)
    return {"train": counts["train"], "test": counts["test"]}
