"""Which training clips calibrate the random-weights control (PROTOCOL 4); no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset
from vcp_core.features.shards import Clip, Shard
from vcp_core.video.clips import Draws

CALIBRATION_BATCH = 16  # clips; fixed, because batch statistics depend on it and devices must agree


def calibration_shard(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> Shard:
    """Distinct clips at seeded starts, as evenly from all training videos as their lengths allow.

    The shard has as many clips as the protocol wants, if the videos have so many starts. Their number is
    rounded down to whole batches, because a small last batch would count as much as a full one. If there is
    no full batch, the only batch is smaller.

    >>> from pathlib import Path
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> from vcp_core.datasets.manifest import Video
    >>> videos = tuple(
    ...     Video(id=f"{name}.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=100)
    ...     for name in "abc"
    ... )
    >>> dataset = Dataset(name="three", split_name="1", root=Path("/data"), videos=videos)
    >>> shard = calibration_shard(dataset, PROTOCOLS["quick-v1"], BACKBONES["r3d"])
    >>> shard.num_clips, sorted(len(clips) for _, clips in shard.videos)
    (240, [80, 80, 80])
    """
    draws = {video: Draws(protocol.seed, "calibration", video.id) for video in dataset.side("train")}
    # Where clips are fewer than videos, the order decides which videos give one.
    random_order = {video: drawn.below(1 << 62) for video, drawn in draws.items()}
    train = sorted(draws, key=lambda video: random_order[video])
    num_starts = [max(1, video.num_frames - spec.clip_span + 1) for video in train]
    wanted = min(protocol.control.calibration_clips, sum(num_starts))
    if wanted > CALIBRATION_BATCH:
        wanted -= wanted % CALIBRATION_BATCH
    chosen = []
    for video, most, share in zip(train, num_starts, _shares(num_starts, wanted), strict=True):
        starts: set[int] = set()
        while len(starts) < share:
            starts.add(draws[video].below(most))
        if starts:
            chosen.append((video, tuple(Clip(video.id, start) for start in sorted(starts))))
    return Shard(number=0, videos=tuple(chosen))


def _shares(room: Sequence[int], wanted: int) -> list[int]:
    """Deal out `wanted` clips, one per video and round, to all videos that have starts left.

    >>> _shares([5, 1, 5], 6)
    [3, 1, 2]
    """
    shares = [0] * len(room)
    while wanted:
        takers = [i for i, most in enumerate(room) if shares[i] < most][:wanted]
        for i in takers:
            shares[i] += 1
        wanted -= len(takers)
    return shares
