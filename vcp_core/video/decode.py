"""Frames of a video file, as the decoder outputs them, in presentation order (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.error

from vcp_core.catalog.errors import UndecodableVideo


def iter_frames(path: Path | str) -> Iterator[av.VideoFrame]:
    """Decode the first video stream of `path`.

    A header's frame count is never trusted: what comes out of the decoder is what there is. A file that
    breaks off in the middle gives the frames before the break; one that gives none raises.

    Yields:
        Frames in presentation order.

    Raises:
        UndecodableVideo: If there is no such file, no video stream, or not one frame.
    """
    num_frames = 0
    trouble = "it holds no frame"
    try:
        # Only files: a playlist among the videos must not make this process open addresses.
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise UndecodableVideo(f"{path}: no video stream.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                num_frames += 1
                yield frame
    except (av.error.FFmpegError, ValueError) as error:
        # A damaged tail: FFmpeg reports it after the good frames, and every run meets the same ones.
        trouble = str(error)
    if num_frames == 0:
        raise UndecodableVideo(f"{path}: cannot be decoded ({trouble}). Try playing it, or leave it out.")


def count_frames(path: Path | str) -> int:
    """Number of frames, by decoding all of them.

    Raises:
        UndecodableVideo: As `iter_frames`.
    """
    return sum(1 for _ in iter_frames(path))
