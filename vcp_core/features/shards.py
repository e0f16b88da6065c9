"""The clips that a run forwards, cut into shards, and the clips of a batch. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vcp_core.datasets.manifest import Video

BATCH_CLIPS = {"cpu": 8, "cuda": 64}  # clips; larger ones were not faster on a CPU (bench/engine.py)
SHARD_CLIPS = 256  # about a minute of r3d on two CPU cores (235 ms a clip)


class Clip(NamedTuple):
    """The input of one forward pass: the frames of a video from `start` on, changed by an option."""

    video_id: str
    start: int
    option: str = "original"
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Some videos, each with the distinct clips that are needed of it, in a fixed order."""

    number: int
    videos: tuple[tuple[Video, tuple[Clip, ...]], ...]

    @property
    def num_clips(self) -> int:
        """Distinct clips, each of which is one forward pass."""
        return sum(len(clips) for _, clips in self.videos)


def cut_shards(
    videos: Iterable[Video], wanted: Callable[[Video], Iterable[Clip]], *, max_clips: int = SHARD_CLIPS
) -> list[Shard]:
    """Cut the distinct clips of all videos into shards of about `max_clips`. A video is never split.

    >>> videos = [Video(id=f"{name}.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=96)
    ...     for name in "abc"]
    >>> shards = cut_shards(videos, lambda video: [Clip(video.id, 0), Clip(video.id, 8)], max_clips=5)
    >>> [[video.id for video, _ in shard.videos] for shard in shards]
    [['a.mp4', 'b.mp4'], ['c.mp4']]
    """
    return list(iter_shards(videos, wanted, max_clips=max_clips))


def iter_shards(
    videos: Iterable[Video], wanted: Callable[[Video], Iterable[Clip]], *, max_clips: int
) -> Iterator[Shard]:
    """Cut shards as `cut_shards` does, and hold only one of them at a time."""
    number, size = 0, 0
    current: list[tuple[Video, tuple[Clip, ...]]] = []
    for video in sorted(videos, key=lambda video: video.id):
        # A set has no order of its own, and shards must not depend on it.
        clips = tuple(sorted(set(wanted(video))))
        if current and size + len(clips) > max_clips:
            yield Shard(number=number, videos=tuple(current))
            number, size, current = number + 1, 0, []
        if clips:
            current.append((video, clips))
            size += len(clips)
    if current:
        yield Shard(number=number, videos=tuple(current))
