"""Frames of a video file, as the decoder outputs them, in presentation order (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.error

from vcp_core.catalog.errors import StorageError, UndecodableVideo


def iter_frames(path: Path | str) -> Iterator[av.VideoFrame]:
    """Decode the first video stream of `path`.

    A header's frame count is never trusted: what comes out of the decoder is what there is. A file that
    breaks off in the middle gives the frames before the break; one that gives none raises. A file gives the
    same frames every time.

    Yields:
        Frames in presentation order.

    Raises:
        UndecodableVideo: If there is no such file, no video stream, or not one frame.
        StorageError: If reading fails, or memory runs out: that says nothing about the file.
    """
    num_frames = 0
    trouble = "it holds no frame"
    try:
        # Only files: a playlist among the videos must not make this process open addresses.
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise UndecodableVideo(f"{path}: no video stream.")
            stream = container.streams.video[0]
            # One thread: with several, a damaged frame is concealed with what its neighbours hold by then,
            # and 10 decodes of one file gave 2 results. Two videos are decoded at a time, so it costs nothing
            # (8 real files: 0.60 s, and 0.70 s with FFmpeg's own threads).
            stream.thread_count = 1
            for frame in container.decode(stream):
                num_frames += 1
                yield frame
    except av.error.FileNotFoundError as error:
        trouble = str(error)
    except (OSError, MemoryError) as error:  # PyAV's own are among them
        reason = "memory ran out" if isinstance(error, MemoryError) else f"{error.strerror or error}".lower()
        raise StorageError(f"{path}: cannot be read now ({reason}). Try again.") from error
    except (av.error.FFmpegError, ValueError) as error:
        # A damaged tail: FFmpeg reports it after the good frames, and every run meets the same ones.
        trouble = str(error)
    if num_frames == 0:
        raise UndecodableVideo(f"{path}: cannot be decoded ({trouble}). Try playing it, or leave it out.")
