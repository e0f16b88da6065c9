"""A zoo of hostile videos. Each is a file name and a function that makes the file.

A builder gets the path to make, and the path of a sound video beside it: the trap. A playlist that is
followed opens the trap.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.packet import Packet
from PIL import Image

from tests.videos import write_sound, write_video

Builder = Callable[[Path, Path], None]
MIB = 1 << 20
_NOISE = random.Random(4)


class Video(NamedTuple):
    """A hostile video.

    Attributes:
        name: Name of the file.
        build: Makes the file.
        opens: Whether an unguarded FFmpeg opens the trap by it.
        listed: Whether the dataset's table lists it. A table that lists what is no file is refused.
    """

    name: str
    build: Builder
    opens: bool = False
    listed: bool = True


def playlist(text: str) -> Builder:
    return lambda path, trap: _write(path, text.format(trap=trap.name, folder=trap.parent).encode())


def contents(data: bytes) -> Builder:
    return lambda path, trap: _write(path, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def edited(edit: Callable[[bytes], bytes], *, codec: str = "libx264") -> Builder:
    """A sound video whose bytes were changed."""

    def build(path: Path, trap: Path) -> None:
        write_video(path, 20, codec=codec)
        path.write_bytes(edit(path.read_bytes()))

    return build


def box(name: bytes, *inner: bytes) -> bytes:
    data = b"".join(inner)
    return struct.pack(">I4s", 8 + len(data), name) + data


def nested(depth: int) -> bytes:
    """Boxes in each other, with the true sizes."""
    return b"".join(struct.pack(">I4s", 8 * (depth - n), (b"trak", b"mdia")[n % 2]) for n in range(depth))


def packed_index(size: int) -> bytes:
    """An index (cmov) of QuickTime that unpacks to this many zeros."""
    packed = zlib.compress(bytes(size))
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", size), packed)))


def patched(mark: bytes, at: int, value: bytes) -> Builder:
    """Overwrite bytes that lie `at` bytes behind the first mark."""

    def edit(data: bytes) -> bytes:
        begin = data.index(mark) + at
        return data[:begin] + value + data[begin + len(value) :]

    return edited(edit)


def noise_from(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + random.Random(4).randbytes(len(data) - at)


def without_pictures(data: bytes) -> bytes:
    """The same MP4 with zeros in place of all pictures."""
    begin, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    return data[:begin] + bytes(end - begin) + data[end:]


def elsewhere(path: Path, trap: Path) -> None:
    """An MP4 whose pictures lie in another file by its data reference (an alias of a Mac)."""
    write_video(path, 20)
    data, name = path.read_bytes(), trap.name.encode()
    alias = bytearray(150)
    struct.pack_into(">HH", alias, 0, 1, 0)  # levels from here and to there
    names = struct.pack(">hH", 2, len(name)) + name + b"\0" * (len(name) % 2)  # 2: an absolute path
    reference = box(
        b"dref", bytes(4), struct.pack(">I", 1), box(b"alis", bytes(4), alias, names, b"\xff\xff\0\0")
    )
    begin = data.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", data, begin)
    grown, out = len(reference) - size, bytearray(data)
    for outer in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = data.index(outer) - 4
        struct.pack_into(">I", out, at, struct.unpack_from(">I", data, at)[0] + grown)
    path.write_bytes(out[:begin] + reference + out[begin + size :])


def picture(kind: str) -> Builder:
    def build(path: Path, trap: Path) -> None:
        with path.open("wb") as file:
            Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(file, kind)

    return build


def y4m(header: str, frame: bytes = b"FRAME\n" + bytes(1536)) -> Builder:
    return contents(f"YUV4MPEG2 {header}\n".encode() + frame * 3)


def still(path: Path, trap: Path) -> None:
    """A MOV of 5,000 frames of 8,000 x 8,000 pixels. A packet of 8 bytes says that nothing changed."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.width = stream.height = 8_000
        stream.pix_fmt = "rgb24"
        frame = av.VideoFrame.from_ndarray(np.zeros((8_000, 8_000, 3), np.uint8), format="rgb24")
        frame.pts = 0
        container.mux(stream.encode(frame))
        for time in range(1, 5_000):
            packet = Packet(struct.pack(">II", 8, 0))
            packet.stream, packet.time_base = stream, stream.codec_context.time_base
            packet.pts = packet.dts = time
            container.mux(packet)


def gif(side: int, frames: int) -> bytes:
    """A GIF of a huge canvas; each frame draws one pixel."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = (
        b"\x21\xf9\x04\x04\x04\x00\x00\x00\x2c"
        + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
        + b"\x02\x02\x44\x01\x00"
    )
    return head + frame * frames + b";"


def sound(path: Path, trap: Path) -> None:
    write_sound(path)


def link(to: str) -> Builder:
    return lambda path, trap: path.symlink_to(to)


def loop(path: Path, trap: Path) -> None:
    path.symlink_to(path.name)


def fifo(path: Path, trap: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path, trap: Path) -> None:
    here = os.open(path.parent, os.O_PATH)  # the path of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n{more}#EXTINF:9,\n{uri}\n#EXT-X-ENDLIST\n"


_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"
_DASH = (
    '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1"><BaseURL>{trap}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)


def hls(uri: str, more: str = "") -> Builder:
    return playlist(_HLS.replace("{more}", more).replace("{uri}", uri))


MKV = bytes.fromhex("1a45dfa3 93 4282 88") + b"matroska" + bytes.fromhex("4287 81 04 4285 81 02")
ENDLESS = MKV + bytes.fromhex("18538067 01ffffffffffffff ec 01fffffffffffffe")  # a segment, and a void in it
LYING = b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl" + b"LIST\xff\xff\xff\x7fmovi" * 500
FTYP = box(b"ftyp", b"isom", bytes(4), b"isommp41")
VIDEOS: dict[str, Video] = {
    "HLS that names the trap": Video("a.mp4", hls("{trap}")),
    "HLS that names a file of the system": Video("a.avi", hls("/etc/passwd")),
    "HLS that names an address": Video("a.mp4", hls("http://127.0.0.1:9/a.mp4")),
    "HLS with a key": Video("a.mp4", hls("{trap}", '#EXT-X-KEY:METHOD=AES-128,URI="{trap}"\n')),
    "HLS with a map": Video("a.mkv", hls("{trap}", '#EXT-X-MAP:URI="{trap}"\n')),
    "HLS of HLS": Video("a.mp4", playlist("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{trap}\n")),
    "ffconcat": Video("a.mp4", playlist("ffconcat version 1.0\nfile {trap}\n"), opens=True),
    "ffconcat of an absolute path": Video("a.avi", playlist("ffconcat version 1.0\nfile {folder}/{trap}\n")),
    "ffconcat with options": Video(
        "a.mp4", playlist("ffconcat version 1.0\nfile {trap}\noption protocol_whitelist file\n")
    ),
    "SDP": Video("a.mp4", playlist(_SDP)),
    "DASH": Video("a.mp4", playlist(_DASH)),
    "a script": Video("a.mp4", playlist("#!/bin/sh\ntouch {trap}\n")),
    "subtitles": Video("a.mp4", playlist("1\n00:00:00,000 --> 00:00:09,000\n{trap}\n")),
    "MP4 whose pictures lie in the trap": Video("a.mov", elsewhere),
    "MP4 of a header only": Video("a.mp4", contents(FTYP)),
    "MP4 without pictures": Video("a.mp4", edited(without_pictures)),
    "MP4 cut off before its index": Video("a.mp4", edited(lambda data: data[: len(data) // 2])),
    "MP4 cut off within its index": Video("a.mp4", edited(lambda data: data[:-200])),
    "MP4 with a box of size 2^63": Video(
        "a.mp4", contents(FTYP + struct.pack(">I4sQ", 1, b"moov", 1 << 63) + bytes(64))
    ),
    "MP4 with a box of size 0": Video("a.mp4", contents(FTYP + struct.pack(">I4s", 0, b"moov") + bytes(64))),
    "MP4 of 100,000 boxes in each other": Video("a.mp4", contents(FTYP + box(b"moov", nested(100_000)))),
    "MP4 with 2^32 sizes": Video("a.mp4", patched(b"stsz", 12, b"\xff" * 4)),
    "MP4 with an index that unpacks to 1 GB": Video("a.mov", contents(FTYP + packed_index(1 << 30))),
    "noise after MP4's header": Video("a.mp4", edited(noise_from(40))),
    "noise after AVI's header": Video(
        "a.avi", contents(b"RIFF" + struct.pack("<I", 4096) + b"AVI LIST" + _NOISE.randbytes(4096))
    ),
    "noise after Matroska's header": Video("a.mkv", contents(MKV + _NOISE.randbytes(4096))),
    "noise after MPEG-TS's sync byte": Video("a.ts", contents((b"G" + _NOISE.randbytes(187)) * 20)),
    "Matroska with an endless element": Video("a.mkv", contents(ENDLESS)),
    "AVI whose lists lie": Video("a.avi", contents(LYING)),
    "Y4M of 65,535 x 65,535 pixels": Video("a.y4m", y4m("W65535 H65535 F25:1 C420")),
    "Y4M of no pixels": Video("a.y4m", y4m("W0 H0 F25:1 C420")),
    "Y4M of negative size": Video("a.y4m", y4m("W-32 H-32 F25:1 C420")),
    "GIF of 65,535 x 65,535 pixels": Video("a.gif", contents(gif(65_535, 3))),
    "a GIF bomb": Video("a.gif", contents(gif(16_000, 100))),
    "5,000 huge frames without a change": Video("a.mov", still),
    "a picture (JPEG)": Video("a.mp4", picture("JPEG")),
    "a picture (PNG)": Video("a.mp4", picture("PNG")),
    "a picture (GIF)": Video("a.gif", picture("GIF")),
    "sound": Video("a.mp4", sound),
    "an empty file": Video("a.mp4", contents(b"")),
    "zeros": Video("a.mp4", contents(bytes(MIB))),
    "text": Video("a.mp4", contents(b"hello " * 1_000)),
    "a file with control characters in its name": Video("a\x1b[2J\u202e.mp4", contents(b"\x1b[2Jhello")),
    "a pipe": Video("a.mp4", fifo, listed=False),
    "a socket": Video("a.mp4", unix_socket, listed=False),
    "a device": Video("a.mp4", link("/dev/zero"), listed=False),
    "a link to itself": Video("a.mp4", loop, listed=False),
    "a link to a file of the system": Video("a.mp4", link("/etc/passwd")),
    "a link to a folder": Video("a.mp4", link("/etc"), listed=False),
}  # fmt: skip
