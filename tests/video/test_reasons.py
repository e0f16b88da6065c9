"""Why a file cannot be used: what it is, in one sentence, and what to do next."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.damaged_videos import zero_packet
from tests.ffmpeg import needs_ffmpeg, run_ffmpeg
from tests.videos import write_sound, write_video
from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video.decode import iter_frames
from vcp_core.video.examine import examine

HTML = "<!DOCTYPE html>\n<html><body>Sign in</body></html>"
CONTENTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the file is empty; copy or download it again"),
    "a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234\n",
        "it is a Git LFS pointer and not the video; run `git lfs pull`",
    ),
    "a web page": (HTML.encode(), r"it is a web page \(HTML\).*; download the video again"),
    "a web page with a mark": (b"\xef\xbb\xbf\n" + HTML.encode(), r"it is a web page \(HTML\)"),
    "a web page in Latin-1": (
        HTML.replace("S", "Ü").encode("latin-1"),
        r"it is a web page \(HTML\)",
    ),
    "a web page in UTF-16": (HTML.encode("utf-16"), r"it is a web page \(HTML\)"),
    "a playlist": (b"#EXTM3U\n#EXTINF:2,\nfile.ts\n", "it is a playlist, which only names other files"),
    "a list to join": (b"ffconcat version 1.0\nfile 'a.mp4'\n", "it is a playlist"),
    "a manifest": (b"<?xml version='1.0'?><MPD></MPD>", "it is a playlist"),
    "text": (b"not a video\n" * 1000, r"it is a text file \(it begins with 'not a video not"),
    "text of another language": ("ключ\n".encode() * 1000, r"it is a text file \(it begins with 'ключ"),
    "an error of a service": (
        b'{"error": "gone"}',
        r"""it is a text file \(it begins with '{"error": "gone"}'""",
    ),
    "an archive": (b"PK\x03\x04" + bytes(range(256)), "it is a ZIP archive; unpack it"),
    "a gzip file": (gzip.compress(b"video" * 100), "it is a gzip file; unpack it"),
    "zeros": (bytes(100_000), "its first 4096 bytes are zeros, as in an unfinished download; copy or"),
    "noise": (bytes(range(256)) * 40, r"FFmpeg cannot open it \(.+\); try playing it, or leave it out"),
}


@pytest.mark.parametrize("suffix", ["mp4", "avi", "txt"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_that_is_no_video_is_called_what_it_is(kind: str, suffix: str, tmp_path: Path) -> None:
    content, reason = CONTENTS[kind]
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UndecodableVideo, match=rf"file\.{suffix}: {reason}"):
        examine(path)


def test_a_recording_without_its_index_says_what_is_missing(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", 24)
    data = whole.read_bytes()
    at = data.rindex(b"moov") - 4
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[:at])
    with pytest.raises(UndecodableVideo, match=r"its index \(the moov atom\) is missing.*; copy it again"):
        examine(cut)
    cut.write_bytes(data[: at + 100])
    with pytest.raises(UndecodableVideo, match=r"it is cut off within its index \(the moov atom\); copy"):
        examine(cut)


def test_sound_alone_is_called_sound(tmp_path: Path) -> None:
    with pytest.raises(UndecodableVideo, match=r"a\.mp4: it holds sound and no video; remove it"):
        examine(write_sound(tmp_path / "a.mp4"))


def test_subtitles_alone_are_called_that(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_bytes(b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n")  # no text that one can print
    with pytest.raises(UndecodableVideo, match="it holds subtitle and no video"):
        examine(path)


@needs_ffmpeg
def test_encrypted_pictures_are_called_encrypted(tmp_path: Path) -> None:
    path, key = tmp_path / "a.mp4", "76a6c65c5ea762046bd749a2e632ccbb"
    scheme = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key)
    run_ffmpeg("-i", write_video(tmp_path / "plain.mp4", 10), "-c", "copy", *scheme, path)
    with pytest.raises(UndecodableVideo, match=r"encrypted \(DRM\).*; use a copy without encryption"):
        examine(path)


def test_the_decoders_own_reason_reaches_the_user(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 5, codec="mjpeg")
    for index in range(5):
        zero_packet(path, index)
    with pytest.raises(
        UndecodableVideo, match=r"none of its frames can be decoded \(invalid data found.*\); try"
    ):
        examine(path)


def test_a_file_that_may_not_be_read_says_who_must_let_whom(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 5)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # to whom no file is closed
        os.seteuid(65534)
    try:
        with pytest.raises(UndecodableVideo, match=r"no permission to read it; .* \(chmod \+r\)"):
            next(iter_frames(path))
    finally:
        os.seteuid(user)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UndecodableVideo, match=r"gone\.avi: there is no such file; correct the list"):
        examine(tmp_path / "gone.avi")
    with pytest.raises(UndecodableVideo, match="it is a folder and not a file; remove it"):
        examine(tmp_path)


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    picture, path = io.BytesIO(), tmp_path / "a.mp4"
    Image.new("RGB", (64, 48), "red").save(picture, "PNG")
    path.write_bytes(picture.getvalue())
    assert examine(path).num_frames == 1


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.ts", 10)
    for name, text in (
        ("a.m3u8", f"#EXTM3U\n#EXTINF:2,\n{other}\n"),
        ("b.txt", f"ffconcat version 1.0\nfile {other}\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UndecodableVideo, match="it is a playlist"):
            examine(tmp_path / name)
