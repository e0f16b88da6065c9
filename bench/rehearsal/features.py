"""Made-up features of clips, with the spectrum and the structure of a network's.

A feature is the positive part of a random mixture of directions, whose variances fall like 1 / k. The feature
depends on the class, the group, the video, the time in the video, and the option, so that every benchmark has
something to find.

Legend: N clips, D features.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vcp_core.datasets.manifest import Video
from vcp_core.features.bank import ShardFeatures
from vcp_core.features.shards import Clip, Shard

Floats = npt.NDArray[np.float32]

# How far each thing moves a feature, in units of a direction's strength.
CLASS, GROUP, VIDEO, TIME, CLIP, OPTION = 0.5, 0.6, 0.6, 0.3, 0.25, 0.3
PERIOD = 40.0  # frames in which a video changes by a radian


class MadeUp:
    """Features of a network that was never run.

    Args:
        dims: Numbers of each stage.
        seed: Another seed is another network.
    """

    def __init__(self, dims: Mapping[str, int], seed: int = 0) -> None:
        self._dims, self._seed = dict(dims), seed
        rng = np.random.default_rng(seed)
        self._mixing = {
            stage: np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32) / np.sqrt(dim)
            for stage, dim in self._dims.items()
        }

    def shard(self, shard: Shard) -> ShardFeatures:
        """Features of a shard's clips."""
        clips = tuple(clip for _, clips in shard.videos for clip in clips)
        return ShardFeatures(
            clips=clips,
            stages={
                stage: np.concatenate([self._of_video(video, own, stage) for video, own in shard.videos])
                for stage in self._dims
            },
        )

    def _of_video(self, video: Video, clips: Iterable[Clip], stage: str) -> Floats:
        clips = list(clips)
        dim = self._dims[stage]
        own = self._vectors(f"{stage}/{video.id}", 3 + len(clips), dim)
        still = (
            CLASS * self._vectors(f"{stage}/{video.label}", 1, dim)[0]
            + GROUP * self._vectors(f"{stage}/{video.group}", 1, dim)[0]
            + VIDEO * own[0]
        )
        times_N = np.array([clip.start for clip in clips], np.float32)[:, None] / PERIOD
        rows_ND = still + TIME * (np.cos(times_N) * own[1] + np.sin(times_N) * own[2]) + CLIP * own[3:]
        for row_D, clip in zip(rows_ND, clips, strict=True):
            if clip.option != "original":
                row_D += OPTION * self._vectors(f"{stage}/{clip.option}/{clip.variant}", 1, dim)[0]
        strengths_D = 1.0 / np.sqrt(np.arange(1, dim + 1, dtype=np.float32))
        return np.asarray(np.maximum((rows_ND * strengths_D) @ self._mixing[stage] + 0.01, 0), np.float32)

    def _vectors(self, name: str, count: int, dim: int) -> Floats:
        rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        return rng.standard_normal((count, dim), np.float32)


def write_shards(
    shards: Iterable[Shard], dims: Mapping[str, int], folder: Path, *, seed: int = 0
) -> list[Path]:
    """Write the made-up features of all shards, and return the files."""
    network, paths = MadeUp(dims, seed), []
    for shard in shards:
        paths.append(folder / f"{shard.number:06d}.safetensors")
        network.shard(shard).save(paths[-1])
    return paths
