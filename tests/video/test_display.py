"""How frames are turned: beside `ffmpeg`, which turns them by itself, and a slow twin."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.ffmpeg import needs_ffmpeg, run_ffmpeg
from tests.videos import write_video
from vcp_core.catalog.errors import UnsupportedVideo
from vcp_core.video.decode import iter_frames
from vcp_core.video.display import Turn, turn_of
from vcp_core.video.examine import examine
from vcp_core.video.frames import Geometry, frame_to_rgb

ONE = 1 << 16
WAYS = {
    "as it is": (1, 0, 0, 1),
    "a quarter clockwise": (0, 1, -1, 0),
    "a quarter counterclockwise": (0, -1, 1, 0),
    "upside down": (-1, 0, 0, -1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored along one diagonal": (0, 1, 1, 0),
    "mirrored along the other": (0, -1, -1, 0),
}


def matrix(a: float, b: float, c: float, d: float) -> list[int]:
    return [round(a * ONE), round(b * ONE), 0, round(c * ONE), round(d * ONE), 0, 0, 0, 1 << 30]


def first(path: Path) -> av.VideoFrame:
    return next(iter(iter_frames(path)))


@needs_ffmpeg
@pytest.mark.parametrize("size", [(48, 64), (50, 70)])
@pytest.mark.parametrize("way", WAYS)
def test_a_frame_is_turned_as_ffmpeg_turns_it(way: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 2, size=size, matrix=matrix(*WAYS[way]))
    shown = run_ffmpeg("-i", path, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    frame = first(path)
    pixels, turn = frame.to_ndarray(format="rgb24"), turn_of(frame)
    ours = np.stack([turn(pixels[..., channel]) for channel in range(3)], axis=-1)
    assert ours.tobytes() == shown


def by_hand(frame: av.VideoFrame, turn: Turn) -> av.VideoFrame:
    """A frame that is stored the way that another one is shown."""
    height, width = (frame.width, frame.height) if turn.transpose else (frame.height, frame.width)
    shown = av.VideoFrame(width, height, frame.format.name)
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    for stored, plane in zip(frame.planes, shown.planes, strict=True):
        pixels = np.frombuffer(stored, dtype).reshape(stored.height, -1)[:, : stored.width]
        rows = np.zeros((plane.height, plane.line_size // dtype().itemsize), dtype)
        rows[:, : plane.width] = turn(pixels)
        plane.update(rows.tobytes())
    return shown


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le", "gray"])
@pytest.mark.parametrize("size", [(80, 128), (46, 70)])
@pytest.mark.parametrize("way", WAYS)
def test_the_shown_frame_is_what_is_resized_and_cropped_to_the_last_digit(
    way: str, size: tuple[int, int], pixel_format: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", 1, size=size, matrix=matrix(*WAYS[way]))
    frame = first(path).reformat(format=pixel_format)
    expected = frame_to_rgb(by_hand(frame, turn_of(frame)), Geometry())
    assert (frame_to_rgb(frame, Geometry()) == expected).all()


@pytest.mark.parametrize("pixel_format", ["yuv422p", "nv12", "gbrp", "yuva420p"])
@pytest.mark.parametrize("way", WAYS)
def test_other_pixel_formats_are_turned_alike(way: str, pixel_format: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 1, size=(80, 128), matrix=matrix(*WAYS[way]))
    frame = first(path)
    expected = frame_to_rgb(frame, Geometry()).astype(float)
    ours = frame_to_rgb(frame.reformat(format=pixel_format), Geometry())
    assert np.abs(ours - expected).mean() < 6 < np.abs(ours[::-1] - expected).mean()


def test_another_angle_is_refused_when_the_file_is_examined(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 2, matrix=matrix(0.7071, 0.7071, -0.7071, 0.7071))
    with pytest.raises(UnsupportedVideo, match="skews the pictures, or its angle is not a multiple"):
        examine(path)


@pytest.mark.parametrize("numbers", [(0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 0.5), (1, 0.01, -0.01, 1)])
def test_a_matrix_that_says_nothing_of_use_or_a_scale_turns_nothing(
    numbers: tuple[float, float, float, float], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", 2, matrix=matrix(*numbers))
    assert turn_of(first(path)) == Turn()


@pytest.mark.parametrize(("orientation", "way"), [(3, "upside down"), (6, "a quarter clockwise"),
                                                  (8, "a quarter counterclockwise")])  # fmt: skip
def test_the_orientation_in_a_pictures_exif_is_obeyed(orientation: int, way: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(picture, "JPEG", exif=exif)
    path = tmp_path / "a.jpg"
    path.write_bytes(picture.getvalue())
    by_matrix = write_video(tmp_path / "a.mp4", 1, matrix=matrix(*WAYS[way]))
    assert turn_of(first(path)) == turn_of(first(by_matrix))


def test_a_frame_whose_turn_was_read_is_freed_at_once() -> None:
    frame = av.VideoFrame(32, 32, "yuv420p")
    before = sys.getrefcount(frame)
    turn_of(frame)
    assert sys.getrefcount(frame) == before  # `frame.side_data` would hold the frame
