"""Small real video files, encoded by the tests that need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

PIXEL_FORMATS = {
    "gif": "rgb8",
    "huffyuv": "yuv422p",
    "mjpeg": "yuvj420p",
    "prores": "yuv422p10le",
    "qtrle": "rgb24",
    "svq1": "yuv410p",
}


def write_video(
    path: Path,
    num_frames: int,
    *,
    size: tuple[int, int] = (96, 128),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    seed: int = 0,
    title: str = "",
    matrix: Sequence[int] = (),
) -> Path:
    """A moving, textured square on noise-free ground; (height, width) in pixels.

    `matrix` is a display matrix of nine numbers, in FFmpeg's order.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    ground = rng.integers(40, 200, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    speed, row = rng.integers(1, 4), int(rng.integers(0, height - 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = height, width
        stream.pix_fmt = PIXEL_FORMATS.get(codec, "yuv420p")
        if matrix:
            stream.set_display_matrix(matrix)
        if title:
            container.metadata["title"] = title
        for t in range(num_frames):
            pixels = ground.astype(np.uint8).copy()
            left = int(t * speed) % (width - 16)
            pixels[row : row + 16, left : left + 16] = (250, 250 - t % 200, 20)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def damage(path: Path, *, seed: int = 0) -> Path:
    """Overwrite two stretches of 40 bytes among the pictures; the file stays as long as it was."""
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for _ in range(2):
        at = int(rng.integers(len(data) // 10, len(data) * 8 // 10))
        data[at : at + 40] = rng.bytes(40)
    path.write_bytes(data)
    return path


def write_two_streams(path: Path) -> Path:
    """A small stream of three pictures first, as cameras put thumbnails, and then a video of 12 frames."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        for codec, size in (("mjpeg", (48, 64)), ("libx264", (96, 128))):
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, PIXEL_FORMATS.get(codec, "yuv420p")
        for stream, num_frames in zip(container.streams.video, (3, 12), strict=True):
            for t in range(num_frames):
                pixels = rng.integers(0, 256, (stream.height, stream.width, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A file of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 48000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
