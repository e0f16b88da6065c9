"""Decoding: what comes out of real files, and of broken ones."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from tests.videos import damage, write_video
from vcp_core.catalog.errors import StorageError, UndecodableVideo, UnsupportedVideo
from vcp_core.video.decode import iter_frames
from vcp_core.video.examine import examine

FRAMES = {  # decoded frames; README of the shared videos
    "test.avi": 127,
    "carphone_pristine.mp4": 120,
    "nasa_13013.mp4": 325,
    "av1_video.mkv": 125,
    "h265_10bits.mp4": 30,
    "demo.mp4": 280,
    "bikes.mp4": 250,
    "test.mp4": 300,
}


FINE = {"crf": "10"}  # x264's; pictures of many bytes, so that the damage hits pictures


@needs_shared
@pytest.mark.parametrize("name", FRAMES)
def test_real_files_decode_to_their_known_frame_counts(name: str) -> None:
    found = examine(SHARED / "videos" / name)
    assert (found.num_frames, found.num_damaged) == (FRAMES[name], 0)


def test_frames_come_in_presentation_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    times = [frame.pts for frame in iter_frames(path)]
    assert times == sorted(times)
    assert len(times) == 40


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot be decoded"), (b"not a video at all" * 100, "cannot be decoded")],
)
def test_a_file_that_holds_no_video_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.avi"
    path.write_bytes(content)
    with pytest.raises(UndecodableVideo, match=reason) as error:
        examine(path)
    assert "broken.avi" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UndecodableVideo, match=r"gone\.avi"):
        examine(tmp_path / "gone.avi")


def test_a_file_cut_off_in_the_middle_gives_the_frames_before_the_cut(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", 60, codec="mpeg4")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < examine(cut).num_frames < 60
    assert examine(cut) == examine(cut)


def test_a_damaged_file_gives_the_pixels_that_one_decoding_thread_gives_and_is_told_apart(
    tmp_path: Path,
) -> None:
    num_damaged = 0
    for seed in range(1, 6):
        path = write_video(tmp_path / f"{seed}.mp4", 120, size=(240, 320), options=FINE, seed=seed)
        damage(path, seed=seed)
        expected = []
        with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
            container.streams.video[0].thread_count = 1
            expected.extend(frame.to_ndarray() for frame in container.decode(video=0))
        found = [frame.to_ndarray() for frame in iter_frames(path)]
        assert len(found) == len(expected)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
        num_damaged += examine(path).num_damaged
    assert num_damaged > 0


class BreaksOff:
    """A container whose disk fails after ten frames."""

    def __init__(self, container: av.container.InputContainer, number: int) -> None:
        self.container, self.number, self.streams = container, number, container.streams

    def __enter__(self) -> BreaksOff:
        return self

    def __exit__(self, kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
        self.container.close()

    def decode(self, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        for index, frame in enumerate(self.container.decode(stream)):
            if index == 10:
                av.error.err_check(-self.number)
            yield frame


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOMEM])
def test_a_read_error_in_the_middle_is_no_end_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path, real = write_video(tmp_path / "whole.mp4", 30), av.open
    monkeypatch.setattr(av, "open", lambda *names, **options: BreaksOff(real(*names, **options), number))
    with pytest.raises(StorageError, match=r"whole\.mp4: cannot be read now"):
        examine(path)


@pytest.mark.parametrize(("name", "matrix"), [("YCgCo", 8), ("bt2020c", 10), ("ICtCp", 14)])
def test_colours_that_cannot_be_converted_are_found_before_the_video_is_used(
    tmp_path: Path, name: str, matrix: int
) -> None:
    path = write_video(tmp_path / "a.mp4", 5, options={"x264-params": f"colormatrix={name}:log-level=none"})
    with pytest.raises(UnsupportedVideo, match=f"matrix {matrix} "):
        examine(path)
