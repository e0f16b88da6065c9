"""A summary of a dataset. The command line, the service and the page show the same one."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from vcp_core.datasets.manifest import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """Summarise a dataset in plain values, ready for JSON.

    `seen` is the sum of the files that were taken, the listed files that cannot be used (`left_out`), and the
    files that a scan did not take (`not_taken`). A folder that the scan did not enter counts as one file.

    >>> from pathlib import Path
    >>> from vcp_core.datasets.manifest import Video
    >>> video = Video(id="wave/a.mp4", label="wave", split="test", group="g1", sha256="0" * 64, num_frames=96)
    >>> said = summary(Dataset(name="gestures", split_name="1", root=Path("/data"), videos=(video,)))
    >>> said["classes"], said["frames"]
    ({'wave': {'train': 0, 'test': 1}}, {'least': 96, 'median': 96, 'most': 96})
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
