"""What there is to know about a video file before it is used, by decoding all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vcp_core.video.decode import iter_frames
from vcp_core.video.frames import Geometry, frame_to_rgb


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What came out of the decoder.

    Attributes:
        num_frames: All frames.
        num_damaged: Those of them that the decoder had to make up in part.
    """

    num_frames: int
    num_damaged: int


def examine(path: Path | str) -> Examined:
    """Decode a whole file, and convert a frame of each kind in it, so that nothing is left to fail later.

    Raises:
        UndecodableVideo: As `iter_frames`.
        StorageError: As `iter_frames`.
        UnsupportedVideo: As `frame_to_rgb`.
    """
    num_frames = num_damaged = 0
    kinds: set[tuple[str, int]] = set()
    for frame in iter_frames(path):
        num_frames += 1
        num_damaged += frame.is_corrupt
        kind = frame.format.name, int(frame.colorspace)
        if kind not in kinds:
            kinds.add(kind)
            frame_to_rgb(frame, Geometry())
    return Examined(num_frames=num_frames, num_damaged=num_damaged)
