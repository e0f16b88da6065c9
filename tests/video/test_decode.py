"""Decoding: what comes out of real files, and of broken ones."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import av
import av.error
import numpy as np
import pytest
from av.packet import Packet

from tests.damaged_videos import packets, with_empty_packet, zero_packet
from tests.ffmpeg import frames_of_ffmpeg, needs_ffmpeg, run_ffmpeg
from tests.shared import SHARED, needs_shared
from tests.videos import damage, write_video
from vcp_core.catalog.errors import StorageError, UndecodableVideo, UnsupportedVideo
from vcp_core.video import decode as decode_module
from vcp_core.video.decode import Tally, iter_frames
from vcp_core.video.examine import Examined, examine
from vcp_core.video.frames import Geometry, frame_to_rgb

FRAMES = {  # of the videos of ../shared, as counted by decoding all of each
    "test.avi": 127,
    "carphone_pristine.mp4": 120,
    "nasa_13013.mp4": 390,  # of its better stream; the first has 325
    "av1_video.mkv": 125,
    "h265_10bits.mp4": 30,
    "demo.mp4": 280,
    "bikes.mp4": 250,
    "test.mp4": 300,
}


SIZES = {"h263": (96, 128)}  # H.263 knows five sizes
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
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            for packet in container.demux(video=0):
                with contextlib.suppress(av.error.InvalidDataError):
                    expected.extend(frame.to_ndarray() for frame in packet.decode())
        found = [frame.to_ndarray() for frame in iter_frames(path)]
        assert len(found) == len(expected)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
        num_damaged += examine(path).num_damaged
    assert num_damaged > 0


@pytest.mark.parametrize("index", [0, 10, 29])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.avi", "mpeg4", {}),
        ("b.avi", "mjpeg", {}),
        ("c.mp4", "libx264", {"g": "1"}),
        ("d.mov", "prores", {}),
    ],
)
def test_a_packet_that_cannot_be_decoded_costs_its_own_frame_and_is_counted(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], index: int
) -> None:
    path = zero_packet(write_video(tmp_path / name, 30, codec=codec, options=options), index)
    tally = Tally()
    assert len(list(iter_frames(path, tally=tally))) == 29
    assert tally.num_failed_packets == 1
    assert tally.trouble


def test_frames_that_wait_in_the_decoder_come_out_behind_a_bad_packet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30, options={"bf": "3", "b-adapt": "0", "g": "60"})
    order = packet_times(path)
    assert order != sorted(order), "no frame waits, so this test shows nothing"
    zero_packet(path, len(order) - 1)
    assert [frame.pts for frame in iter_frames(path)] == sorted(order[:-1])


def packet_times(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(video=0) if packet.size and packet.pts is not None]


@needs_ffmpeg
def test_an_empty_packet_repeats_the_frame_before_it(tmp_path: Path) -> None:
    path = tmp_path / "still.ogv"
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=64x48:d=1:r=25", "-c:v", "libtheora", path)
    with av.open(str(path)) as container:
        sizes = [packet.size for packet in container.demux(video=0)][:-1]
    assert len(sizes) == 25
    assert sizes.count(0) > 10, "no packet is empty, so this test shows nothing"
    assert examine(path) == Examined(num_frames=25)


@pytest.mark.parametrize(("name", "codec"), [("a.mov", "qtrle"), ("b.3gp", "h263"), ("c.mp4", "libx265")])
def test_a_repeat_stands_where_the_empty_packet_is_shown_also_behind_frames_that_wait(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = with_empty_packet(
        write_video(tmp_path / name, 20, codec=codec, size=SIZES.get(codec, (48, 64))), at=10
    )
    frames = [frame.to_ndarray(format="gray") for frame in iter_frames(path)]
    same = [i for i in range(1, len(frames)) if np.array_equal(frames[i], frames[i - 1])]
    assert len(frames) == 21
    assert same == [10]


def test_an_empty_packet_before_the_first_frame_repeats_nothing(tmp_path: Path) -> None:
    path = with_empty_packet(write_video(tmp_path / "a.mov", 20, codec="qtrle"), at=0)
    assert examine(path).num_frames == 20


class BadDisk(io.FileIO):
    """A file whose disk fails from a position on."""

    number, good = errno.EIO, 8192

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.good:
            raise OSError(self.number, os.strerror(self.number))
        return super().read(size)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mjpeg"), ("b.mov", "prores"), ("c.mkv", "ffv1"), ("d.ts", "libx264")]
)
def test_a_read_error_in_the_middle_is_no_end_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str, codec: str
) -> None:
    path = write_video(tmp_path / name, 30, size=(240, 320), codec=codec, options=FINE)
    monkeypatch.setattr(BadDisk, "number", number)
    monkeypatch.setattr(BadDisk, "good", path.stat().st_size // 2)
    monkeypatch.setattr(io, "FileIO", BadDisk)
    with pytest.raises(StorageError, match=rf"{name}: cannot be read now \({os.strerror(number).lower()}\)"):
        examine(path)


def test_a_decoders_own_errno_is_not_the_disks(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 30, codec="rawvideo")
    position, size = packets(path)[-1]
    path.write_bytes(path.read_bytes()[: position + size // 2])  # "Invalid argument", says the decoder
    tally = Tally()
    assert len(list(iter_frames(path, tally=tally))) == 29
    assert (tally.num_failed_packets, tally.trouble) == (1, "invalid argument")


def test_memory_that_ran_out_says_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(container: object) -> None:
        av.error.err_check(-errno.ENOMEM)

    path = write_video(tmp_path / "a.mp4", 5)
    monkeypatch.setattr(decode_module, "choose_stream", no_memory)
    with pytest.raises(StorageError, match=r"a\.mp4: cannot be read now \(memory ran out\)"):
        examine(path)


def test_a_frame_from_a_packet_that_is_cut_counts_as_damaged(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 30, codec="huffyuv")  # a decoder that does not tell by itself
    position, size = packets(path)[20]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    # The read that the file broke off counts for the nine frames that are missing.
    assert examine(path) == Examined(num_frames=21, num_damaged=1, num_failed_packets=1)


def with_its_index_first(path: Path) -> Path:
    """The same packets, as servers store MP4 files."""
    first = path.with_stem("first")
    with av.open(str(path)) as source, av.open(str(first), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return first


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_a_file_that_is_cut_between_two_packets_is_told(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", 30)
    path = with_its_index_first(path) if suffix == "mp4" else path
    assert examine(path) == Examined(num_frames=30)
    begin, _ = packets(path)[20]
    path.write_bytes(path.read_bytes()[: begin - {"mp4": 0, "avi": 8, "mkv": 7}[suffix]])
    found = examine(path)
    assert (found.num_frames < 30, found.num_failed_packets) == (True, 1)


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_a_disk_that_fails_while_the_end_is_looked_at_is_told(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", 5)
    with contextlib.closing(decode_module._DiskFile(path)) as file:
        file._file = Mock(wraps=file._file, read=Mock(side_effect=OSError(errno.EIO, "I/O error")))
        with pytest.raises(StorageError, match="cannot be read now"):
            file.is_cut_off()


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_a_file_that_lacks_only_what_stands_behind_its_pictures_is_whole(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", 30)
    path.write_bytes(path.read_bytes()[:-5])  # of the index
    assert examine(path) == Examined(num_frames=30)


def test_each_frame_of_several_cut_packets_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(stream: av.VideoStream, packet: Packet[av.VideoStream] | None, tally: Tally) -> Any:
        if packet is not None:
            packet.opaque = decode_module._CutPacket()
        return stream.decode(packet)

    path = write_video(tmp_path / "a.mp4", 30)  # H.264 with B-frames: several packets are in the decoder
    monkeypatch.setattr(decode_module, "_decode", cut)
    assert examine(path).num_damaged == 30


def test_frames_that_cannot_be_converted_leave_the_video_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 3)
    for error, kind in ((ValueError("odd planes"), UnsupportedVideo), (MemoryError(), StorageError)):
        monkeypatch.setattr("vcp_core.video.examine.frame_to_rgb", Mock(side_effect=error))
        with pytest.raises(kind, match="cannot be converted"):
            examine(path)


def test_frames_whose_size_changes_in_the_middle_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    parts = [
        write_video(tmp_path / f"{height}.ts", 10, size=(height, 64), codec="mpeg2video")
        for height in (48, 96)
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(iter_frames(path))
    assert {frame.height for frame in frames} == {48, 96}
    assert all(frame_to_rgb(frame, Geometry()).shape == (112, 112, 3) for frame in frames)
    assert examine(path).num_frames == len(frames) == 19  # as `ffmpeg` has it


def test_tags_in_an_unknown_encoding_do_not_matter(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 10, codec="mpeg4", title="TITLE")
    path.write_bytes(path.read_bytes().replace(b"TITLE", b"\xe9t\xe9!!"))
    assert examine(path).num_frames == 10


@needs_ffmpeg
def test_frames_before_the_start_of_an_edit_list_are_not_shown(tmp_path: Path) -> None:
    whole, cut = write_video(tmp_path / "whole.mp4", 50, options={"g": "25"}), tmp_path / "cut.mp4"
    run_ffmpeg("-ss", "0.4", "-i", whole, "-c", "copy", cut)
    with av.open(str(cut)) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    assert examine(cut).num_frames == len(frames_of_ffmpeg(cut)) == 40


@pytest.mark.parametrize(("name", "matrix"), [("YCgCo", 8), ("bt2020c", 10), ("ICtCp", 14)])
def test_colours_that_cannot_be_converted_are_found_before_the_video_is_used(
    tmp_path: Path, name: str, matrix: int
) -> None:
    path = write_video(tmp_path / "a.mp4", 5, options={"x264-params": f"colormatrix={name}:log-level=none"})
    with pytest.raises(UnsupportedVideo, match=f"matrix {matrix} "):
        examine(path)


@pytest.mark.parametrize(
    ("ceiling", "most"), [("MOST_PIXELS_A_FRAME", 96 * 128 - 1), ("MOST_PIXELS", 20 * 96 * 128 - 1)]
)
def test_a_video_that_asks_for_far_too_many_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ceiling: str, most: int
) -> None:
    path = write_video(tmp_path / "a.mp4", 20)
    monkeypatch.setattr(decode_module, "MOST_PIXELS_A_BYTE_OF_VIDEO", 0)
    monkeypatch.setattr(decode_module, "MOST_PIXELS", 20 * 96 * 128)
    assert examine(path).num_frames == 20
    monkeypatch.setattr(decode_module, ceiling, most)
    with pytest.raises(UndecodableVideo, match="far more pixels than a video of its size"):
        examine(path)
