"""Which stream is the video, and how it is told."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.videos import write_sound, write_two_streams, write_video
from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video.decode import iter_frames
from vcp_core.video.examine import Examined, examine


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def add_cover(path: Path) -> Path:
    """Cover art as taggers of MP4 write it, before the tracks: FFmpeg's first stream is the picture."""
    data = path.read_bytes()
    at = data.rindex(b"moov") - 4  # the last box, so that what it points to stays in its place
    cover = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(cover, "JPEG")
    entry = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + cover.getvalue()))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", entry)))
    path.write_bytes(data[:at] + box(b"moov", tags + data[at + 8 :]))
    return path


def test_cover_art_is_not_the_video_and_not_worth_a_word(tmp_path: Path) -> None:
    path = add_cover(write_video(tmp_path / "a.mp4", 30))
    with av.open(str(path)) as container:
        assert [stream.name for stream in container.streams.video] == ["mjpeg", "h264"]
    assert examine(path) == Examined(num_frames=30)


def test_of_several_videos_the_one_that_ffmpeg_takes_is_decoded_and_named(tmp_path: Path) -> None:
    path = write_two_streams(tmp_path / "a.mkv")
    assert examine(path) == Examined(num_frames=12, stream="stream 1 of 0, 1: h264 128x96")
    assert {frame.width for frame in iter_frames(path)} == {128}


def test_sound_with_a_cover_is_sound(tmp_path: Path) -> None:
    path = add_cover(write_sound(tmp_path / "a.mp4"))
    with pytest.raises(UndecodableVideo, match=r"it holds sound and a picture \(cover art\) and no video"):
        examine(path)


def test_a_codec_without_a_decoder_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 5, codec="mpeg4")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"XYZW"))
    with pytest.raises(UndecodableVideo, match=r"FFmpeg .* has no decoder for its video codec; convert"):
        examine(path)
