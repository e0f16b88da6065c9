"""Grid clips of a video, which recognition and retrieval share.

Legend: N videos, M = N x num_clips clips, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Video
from vcp_core.features.bank import FeatureBank
from vcp_core.features.shards import Clip
from vcp_core.video.clips import grid_starts

CHUNK_VIDEOS = 128  # 47 MB at a time, with 10 clips a video and 9,216 numbers a clip


def grid_clips(video: Video, protocol: Protocol, spec: BackboneSpec) -> list[Clip]:
    """Grid clips of a video in order. A short video may give the same clip several times.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=17)
    >>> [clip.start for clip in grid_clips(video, PROTOCOLS["quick-v1"], BACKBONES["r3d"])]
    [0, 0, 1]
    """
    starts = grid_starts(video.num_frames, protocol.grid.num_clips, spec.clip_span)
    return [Clip(video.id, start) for start in starts]


def clips(video: Video, protocol: Protocol, spec: BackboneSpec) -> set[Clip]:
    """The distinct clips that recognition and retrieval need of a video.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import load_protocol
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=100)
    >>> sorted(clip.start for clip in clips(video, load_protocol("quick-v1"), BACKBONES["r3d"]))
    [0, 42, 84]
    """
    return set(grid_clips(video, protocol, spec))


def clip_rows(
    bank: FeatureBank, videos: Sequence[Video], protocol: Protocol, spec: BackboneSpec, *, stage: str
) -> npt.NDArray[np.float32]:
    """Features of the videos' grid clips after `stage`, video by video, (M, D)."""
    return bank.rows([clip for video in videos for clip in grid_clips(video, protocol, spec)], stage)


def video_means(
    bank: FeatureBank, videos: Sequence[Video], protocol: Protocol, spec: BackboneSpec, *, stage: str
) -> npt.NDArray[np.float32]:
    """Means of the videos' grid clips after `stage`, (N, D), without holding all clips at once.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import load_protocol
    >>> from vcp_core.features.bank import ShardFeatures
    >>> protocol, spec = load_protocol("quick-v1"), BACKBONES["r3d_tiny"]
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=100)
    >>> rows_MD = np.array([[0, 1], [1, 2], [5, 6]], np.float32)
    >>> features = ShardFeatures(clips=tuple(grid_clips(video, protocol, spec)), stages={"conv5": rows_MD})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     features.save(Path(folder) / "shard.safetensors")
    ...     bank = FeatureBank([Path(folder) / "shard.safetensors"])
    ...     video_means(bank, [video], protocol, spec, stage="conv5").tolist()
    [[2.0, 3.0]]
    """
    means_ND: npt.NDArray[np.float32] | None = None
    for start in range(0, len(videos), CHUNK_VIDEOS):
        part = videos[start : start + CHUNK_VIDEOS]
        part_ND = _means(clip_rows(bank, part, protocol, spec, stage=stage), len(part))
        if means_ND is None:
            means_ND = np.empty((len(videos), part_ND.shape[1]), np.float32)
        means_ND[start : start + len(part)] = part_ND
    if means_ND is None:
        raise ValueError("No videos were asked for.")
    return means_ND


def _means(clips_MD: npt.NDArray[np.float32], num_videos: int) -> npt.NDArray[np.float32]:
    by_video = clips_MD.reshape(num_videos, -1, clips_MD.shape[1])
    videos_ND: npt.NDArray[np.float32] = by_video.mean(axis=1, dtype=np.float64).astype(np.float32)
    return videos_ND
