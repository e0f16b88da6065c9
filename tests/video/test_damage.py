"""A sweep: files of many codecs, damaged in five ways, beside what `ffmpeg` gives of them.

`make test ARGS="tests/video/test_damage.py -s -q"` prints the table.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.damaged_videos import cut, packets, with_empty_packet, zero_packet
from tests.ffmpeg import MAJOR, SIDE, frames_of_ffmpeg, needs_ffmpeg, run_ffmpeg
from tests.videos import PIXEL_FORMATS
from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video.decode import Tally, iter_frames

pytestmark = [needs_ffmpeg, pytest.mark.slow]

NUM_FRAMES = 24
STEP = 8  # of grey, from one frame's upper band to the next one's
BAND = SIDE // 4  # rows
REORDERED = {"g": "8", "bf": "2"}
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mp4": ("libx264", {**REORDERED, "b-adapt": "0"}),
    "h264.mkv": ("libx264", REORDERED),
    "h264.ts": ("libx264", REORDERED),
    "h264.flv": ("libx264", {"g": "8"}),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none:keyint=8"}),
    "mpeg4.avi": ("mpeg4", {"g": "8"}),
    "mpeg4-b.avi": ("mpeg4", REORDERED),
    "mjpeg.avi": ("mjpeg", {}),
    "huffyuv.avi": ("huffyuv", {}),
    "vp8.webm": ("libvpx", {"g": "8"}),
    "vp9.webm": ("libvpx-vp9", {"g": "8"}),
    "av1.mkv": ("libaom-av1", {"g": "8"}),
    "ffv1.mkv": ("ffv1", {}),
    "mpeg2.mpg": ("mpeg2video", REORDERED),
    "mpeg2.ts": ("mpeg2video", REORDERED),
    "prores.mov": ("prores", {}),
    "qtrle.mov": ("qtrle", {}),
    "h263.3gp": ("h263", {"g": "8"}),
    "flv1.flv": ("flv", {"g": "8"}),
    "wmv2.wmv": ("wmv2", {"g": "8"}),
    "gif.gif": ("gif", {}),
    "theora.ogv": ("libtheora", {"g": "8"}),
}
# Encoders of Debian's ffmpeg. PyAV's wheel has none for Theora, and for AV1 only SVT-AV1: it gives the thread
# that calls it a real-time priority where it may, and whatever that process starts later starves the machine.
BY_FFMPEG = {"libtheora": ("-q:v", "7"), "libaom-av1": ("-cpu-used", "8", "-pix_fmt", "yuv420p")}
WAYS = ("first", "middle", "last", "cut", "empty")
NO_EMPTY = (".ts", ".mpg", ".flv", ".wmv", ".gif")  # they have no packet of no bytes, or not for long

# Where Debian's ffmpeg 5.1 and the FFmpeg 8.1 of PyAV's wheel differ, or we differ from both.
DIFFERENT = {
    ("hevc.mp4", "first"): "FFmpeg 8 withholds frames until a key frame, 5.1 makes them up",
    ("av1.mkv", "middle"): "dav1d 1.5 refuses a frame whose reference is lost, 1.0 shows it with errors",
    ("gif.gif", "cut"): "FFmpeg 8 gives the picture that is cut, 5.1 leaves it out",
    ("hevc.mp4", "empty"): "ffmpeg shows the last frame for longer, we repeat it",
    ("qtrle.mov", "empty"): "ffmpeg shows the last frame for longer, we repeat it",
    ("h263.3gp", "empty"): "ffmpeg shows the last frame for longer, we repeat it",
    ("theora.ogv", "empty"): "ffmpeg shows the last frame for longer, we repeat it",
}
# Where frames are missing or made up, and neither container nor decoder says a word of it.
UNTOLD = {
    "the container looks for the next thing that it understands": (
        ("h264.ts", "first middle last cut"),
        ("mpeg2.ts", "first middle last cut"),
        ("mpeg2.mpg", "first middle last"),
        ("theora.ogv", "first middle last cut"),
        ("gif.gif", "middle last cut"),
    ),
    "the decoder passes over what it does not understand": (("av1.mkv", "last"),),
    "to the decoder zeros are a picture": (
        ("huffyuv.avi", "first middle last"),
        ("ffv1.mkv", "middle last"),
        ("qtrle.mov", "first middle last"),
    ),
}
SILENT = {(name, way): why for why, files in UNTOLD.items() for name, ways in files for way in ways.split()}

Small = npt.NDArray[np.float64]


def make(path: Path, codec: str, options: dict[str, str], *, still_from: int = NUM_FRAMES) -> Path:
    """A video whose frames can be told apart by the grey of their upper half, up to where it stands still."""
    if codec in BY_FFMPEG:
        source = make(path.with_name(f"{path.stem}.ffv1.mkv"), "ffv1", {}, still_from=still_from)
        run_ffmpeg("-i", source, "-c:v", codec, *BY_FFMPEG[codec], "-g", options["g"], path)
        return path
    height, width = (96, 128) if codec == "h263" else (48, 64)
    ground = np.random.default_rng(0).integers(60, 190, (height, width // 8)).repeat(8, 1)
    index_first = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov", ".3gp") else {}
    with av.open(str(path), "w", options=index_first) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = height, width
        stream.pix_fmt = PIXEL_FORMATS.get(codec, "yuv420p")
        for t in range(NUM_FRAMES):
            pixels = ground.copy()
            pixels[: height // 2] = 20 + STEP * min(t, still_from)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="gray")
            container.mux(stream.encode(frame.reformat(format="rgb24")))
        container.mux(stream.encode())
    return path


def damaged(whole: Path, way: str, folder: Path) -> Path:
    """A copy of the file, damaged."""
    path = folder / way / whole.name
    path.parent.mkdir()
    if way == "empty" and whole.suffix == ".ogv":  # libtheora writes one wherever nothing moves
        return make(path, *FILES[whole.name], still_from=NUM_FRAMES - 3)
    path.write_bytes(whole.read_bytes())
    if way == "empty":
        return with_empty_packet(path, at=NUM_FRAMES // 2)
    num_packets = len(packets(path))
    if way == "cut":
        return cut(path, num_packets * 2 // 3)
    return zero_packet(path, {"first": 0, "middle": num_packets // 2, "last": num_packets - 1}[way])


def frames_of_ours(path: Path, tally: Tally) -> tuple[Small, str]:
    """As `frames_of_ffmpeg`, and why there are none."""
    small: list[npt.NDArray[np.uint8]] = []
    try:
        for frame in iter_frames(path, tally=tally):
            picture = frame.reformat(width=SIDE, height=SIDE, format="gray", interpolation="AREA")
            small.append(picture.to_ndarray())
    except UndecodableVideo as error:
        return np.empty((0, SIDE, SIDE)), str(error)
    return np.stack(small).astype(float), ""


def differ(ours: Small, theirs: Small) -> bool:
    """Whether number or order of the frames differ; a frame is known by its upper part."""
    if len(ours) != len(theirs):
        return True
    return bool((np.abs(ours - theirs)[:, :BAND].mean(axis=(1, 2)) > STEP / 3).any())


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_gives_the_frames_that_ffmpeg_gives_or_is_named(name: str, tmp_path: Path) -> None:
    whole = make(tmp_path / name, *FILES[name])
    assert len(frames_of_ours(whole, Tally())[0]) == NUM_FRAMES
    for way in WAYS:
        if way == "empty" and whole.suffix in NO_EMPTY:
            continue
        path, tally = damaged(whole, way, tmp_path), Tally()
        theirs = frames_of_ffmpeg(path)
        ours, reason = frames_of_ours(path, tally)
        different = DIFFERENT.get((name, way), "")
        told = bool(tally.num_failed_packets or tally.num_damaged or reason)
        silent = SILENT.get((name, way), "")
        counts = f"ffmpeg {len(theirs):2} ours {len(ours):2}"
        tallies = f"failed {tally.num_failed_packets:2} damaged {tally.num_damaged:2}"
        why = different or silent or reason.removeprefix(f"{path}: ")
        print(f"\n{name:12} {way:7} {counts}  {tallies}  {why}", end="")
        if not different or MAJOR == 5:
            assert differ(ours, theirs) == bool(different), way
        if way == "empty":
            assert len(ours) >= NUM_FRAMES
            assert not told
        else:
            assert told == (not silent), way


@pytest.mark.parametrize(("name", "way"), [key for key, why in DIFFERENT.items() if "repeat it" in why])
def test_without_the_repeats_the_frames_are_those_of_ffmpeg(name: str, way: str, tmp_path: Path) -> None:
    path = damaged(make(tmp_path / name, *FILES[name]), way, tmp_path)
    theirs, (ours, _) = frames_of_ffmpeg(path), frames_of_ours(path, Tally())
    once = np.stack([ours[0], *(b for a, b in itertools.pairwise(ours) if (a != b).any())])
    assert len(once) < len(ours)
    assert not differ(once, theirs)
