"""Scenes that move, cheap to draw, encoded as UCF101's files are: 320 x 240 MPEG-4 at 25 frames a second.

A scene has a textured background that the camera pans over, and a few discs that move by the class's rule.
The pictures carry some noise, so that decoding costs what it costs on a camera's pictures.

Legend: H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH, FPS = 240, 320, 25
# UCF101 has 6.5 GiB in 13,320 files of 2.48 million frames: 2.8 kB a frame.
BITS_PER_SECOND = 2800 * 8 * FPS
FRAMES_PER_KEY = 12  # FFmpeg's default for this codec
NUM_DISCS = 4
PAN = 160  # how far the camera moves along each axis, in pixels

Picture = npt.NDArray[np.uint8]


def draw(rule: int, look: int, num_frames: int) -> Iterator[Picture]:
    """Draw the pictures of a scene, uint8, (H, W, 3).

    Args:
        rule: Number of the class. It decides how fast and how far the discs swing.
        look: Number of the scene. It decides the background, the colours and where things begin.
        num_frames: How many pictures.
    """
    rng = np.random.default_rng([rule, look])
    background = _texture(rng, HEIGHT + PAN, WIDTH + PAN)
    noise = rng.normal(0, 3, (4, HEIGHT, WIDTH, 1))
    colours = rng.uniform(0, 255, (NUM_DISCS, 3))
    places, phases = rng.uniform(0.2, 0.8, (NUM_DISCS, 2)), rng.uniform(0, 2 * np.pi, (NUM_DISCS, 2))
    rates = 0.02 * (1 + np.array([rule % 10, rule // 10])) + 0.01
    radius = int(rng.integers(14, 30))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = ((x**2 + y**2) <= radius**2)[..., None]
    pan = rng.uniform(0.005, 0.02, 2)
    for t in range(num_frames):
        top, left = (PAN * (0.5 + 0.5 * np.sin(pan * t))).astype(int)
        picture = background[top : top + HEIGHT, left : left + WIDTH].copy()
        for place, phase, colour in zip(places, phases, colours, strict=True):
            swing = place + 0.18 * np.sin(rates * t + phase)
            row, column = (swing * (HEIGHT, WIDTH)).astype(int)
            row, column = np.clip((row, column), radius, (HEIGHT - radius - 1, WIDTH - radius - 1))
            under = picture[row - radius : row + radius + 1, column - radius : column + radius + 1]
            np.copyto(under, colour, where=disc)
        yield np.clip(picture + noise[t % len(noise)], 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Noise of four octaves, in two colours."""
    total = np.zeros((height, width))
    for octave in (64, 32, 16, 8):
        coarse = rng.normal(0, octave, (height // octave + 2, width // octave + 2))
        total += np.kron(coarse, np.ones((octave, octave)))[:height, :width]
    share = ((total - total.min()) / np.ptp(total))[..., None]
    dark, light = rng.uniform(0, 120, 3), rng.uniform(120, 255, 3)
    return np.asarray(dark * (1 - share) + light * share)


def encode(path: Path, pictures: Iterator[Picture], codec: str = "mpeg4") -> None:
    """Write a video file. The suffix decides the container."""
    options: dict[str, str] = {"threads": "1"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.time_base = BITS_PER_SECOND, FRAMES_PER_KEY, Fraction(1, FPS)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
