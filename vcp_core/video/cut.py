"""Tell whether a video file was cut off, so that frames are missing at its end.

FFmpeg reads a file that was cut off to the cut and reports no error. Matroska, AVI and MP4 say how long the
part with the pictures is, so this module compares that length with the file's size. A file that lacks only
the parts behind the pictures (an index, tags) has every frame, and is not reported.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol as Interface

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")  # RFC 8794, 8.1; RFC 9559, 5.1
# RFC 9559: cues, tags, attachments and chapters. They may stand behind the pictures, and hold no frames.
_BEHIND = tuple(map(bytes.fromhex, ("1c53bb6b", "1254c367", "1941a469", "1043a770")))
_UNKNOWN = (0, 0xFFFFFFFF)  # lengths in an AVI whose recorder never wrote the true length
_PICTURES = (b"mdat", b"moof", b"moov")  # the boxes of an MP4 that frames depend on


class Seekable(Interface):
    """A binary file that can be read and moved about in."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position, and return it."""


def is_cut_off(file: Seekable, size: int) -> bool:
    """Tell whether the container announces frames that lie behind the end of the file.

    Args:
        file: The file, at any position.
        size: Size of the file, in bytes.

    Returns:
        False also for containers other than Matroska (WebM), AVI, MP4 and QuickTime.

    >>> import io
    >>> whole = bytes.fromhex("1a45dfa3 80 18538067 88 1f43b675 83 ec8100")
    >>> is_cut_off(io.BytesIO(whole), len(whole)), is_cut_off(io.BytesIO(whole[:-1]), len(whole) - 1)
    (False, True)
    """
    head = _at(file, 0, 12)
    if head.startswith(_EBML):
        return _is_cut_matroska(file, size)
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return _is_cut_avi(file, size)
    ends = list(top_boxes(file, size))
    return bool(ends) and ends[0][0] == b"ftyp" and ends[-1][1] > size and ends[-1][0] in _PICTURES


def top_boxes(file: Seekable, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the name and the end (in bytes) of each outermost box of an MP4 or QuickTime file.

    The format is that of ISO/IEC 14496-12, 4.2. The last box may end behind the file.

    >>> import io
    >>> file = struct.pack(">I4s4x", 12, b"ftyp") + struct.pack(">I4s", 100, b"mdat")
    >>> list(top_boxes(io.BytesIO(file), len(file)))
    [(b'ftyp', 12), (b'mdat', 112)]
    """
    begin = 0
    while begin + 8 <= size:
        head = _at(file, begin, 16)
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1:  # the length follows in 8 bytes
            (length,) = struct.unpack(">Q", head[8:])
        elif length == 0:  # the box goes on to the end of the file
            length = size - begin
        if length < 8 or not name.isalnum():  # a box is at least its own head; anything else is damage
            return
        begin += length
        yield name, begin


def _is_cut_matroska(file: Seekable, size: int) -> bool:
    length, begin = _element(file, len(_EBML))
    at = begin + (length or 0)
    if _at(file, at, 4) != _SEGMENT:
        return False
    length, at = _element(file, at + 4)
    if length is None or at + length <= size:
        return False
    name = b""
    while at < size:
        name = _at(file, at, 4)
        name = name[: 9 - name[0].bit_length()]  # the leading zeros of the first byte give the name's length
        length, begin = _element(file, at + len(name))
        if length is None:
            break
        at = begin + length
    return at == size or name not in _BEHIND


def _is_cut_avi(file: Seekable, size: int) -> bool:
    """Look for a list `movi` that ends behind the file. Files over 1 GiB have several, each in a `RIFF`."""
    begin = 0
    while begin + 12 <= size:
        head = _at(file, begin, 12)
        (length,) = struct.unpack("<I", head[4:8])
        if length in _UNKNOWN:
            return False
        if head[:4] == b"RIFF":
            begin += 12  # go into the chunk: its lists are inside
            continue
        if head[:4] == b"LIST" and head[8:] == b"movi" and begin + 8 + length > size:
            return True
        begin += 8 + length + length % 2  # RIFF pads a chunk to an even length
    return False


def _at(file: Seekable, begin: int, size: int) -> bytes:
    """Read `size` bytes from position `begin` on, with zeros in place of bytes that cannot be read."""
    file.seek(begin)
    return file.read(size).ljust(size, b"\0")


def _element(file: Seekable, at: int) -> tuple[int | None, int]:
    """Read an element's length (None in a live recording, which has none) and where its content begins."""
    data = _at(file, at, 8)
    first = data[0] if data else 0
    width = 9 - first.bit_length()  # the leading zeros of the first byte give the width of the length
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    unknown = first == 0 or value == (1 << 7 * width) - 1
    return None if unknown else value, at + width
