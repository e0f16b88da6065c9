"""The grid clips of a video, which recognition and retrieval share.

Legend: N videos, M = N x num_clips clips, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vcp_core.bank import FeatureBank
from vcp_core.catalog.backbones import BackboneSpec
from vcp_core.catalog.protocols import Protocol
from vcp_core.datasets.manifest import Video
from vcp_core.shards import Clip
from vcp_core.video.clips import grid_starts


class GridFeatures(NamedTuple):
    """Features of grid clips, video by video, and their mean for every video."""

    clips_MD: npt.NDArray[np.float32]
    videos_ND: npt.NDArray[np.float32]


def grid_clips(video: Video, protocol: Protocol, spec: BackboneSpec) -> list[Clip]:
    """Grid clips in order; a short video's clips may be the same one several times."""
    starts = grid_starts(video.num_frames, protocol.grid.num_clips, spec.clip_span)
    return [Clip(video.id, start) for start in starts]


def clips(video: Video, protocol: Protocol, spec: BackboneSpec) -> set[Clip]:
    """The distinct clips that recognition and retrieval need of a video."""
    return set(grid_clips(video, protocol, spec))


def video_features(
    bank: FeatureBank, videos: Sequence[Video], protocol: Protocol, spec: BackboneSpec
) -> GridFeatures:
    """Last-stage features of the videos' grid clips, and their means in float64."""
    wanted = [clip for video in videos for clip in grid_clips(video, protocol, spec)]
    clips_MD = bank.rows(wanted, spec.stages[-1])
    by_video = clips_MD.reshape(len(videos), protocol.grid.num_clips, -1)
    return GridFeatures(clips_MD, by_video.mean(axis=1, dtype=np.float64).astype(np.float32))
