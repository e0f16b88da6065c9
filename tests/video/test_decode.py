"""Decoding: what comes out of real files, and of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video.decode import count_frames, iter_frames

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


@needs_shared
@pytest.mark.parametrize("name", FRAMES)
def test_real_files_decode_to_their_known_frame_counts(name: str) -> None:
    assert count_frames(SHARED / "videos" / name) == FRAMES[name]


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
        count_frames(path)
    assert "broken.avi" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UndecodableVideo, match=r"gone\.avi"):
        count_frames(tmp_path / "gone.avi")


def test_a_file_cut_off_in_the_middle_gives_the_frames_before_the_cut(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", 60, codec="mpeg4")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < count_frames(cut) < 60
    assert count_frames(cut) == count_frames(cut)
