"""Whether a file ends before its container does: FFmpeg takes the cut for the end, and says nothing.

Matroska, AVI and MP4 tell how long the part with the pictures is. A file that lacks only what stands behind
that part (an index, tags) has every frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol as Interface

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")  # RFC 8794, 8.1; RFC 9559, 5.1
# RFC 9559: cues, tags, attachments and chapters, which may stand behind the pictures.
_BEHIND = tuple(map(bytes.fromhex, ("1c53bb6b", "1254c367", "1941a469", "1043a770")))
_UNKNOWN = (0, 0xFFFFFFFF)  # of an AVI: a recording whose length was never written
_PICTURES = (b"mdat", b"moof", b"moov")  # MP4's boxes without which frames are missing


class Seekable(Interface):
    """What is asked of a file."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""


def is_cut_off(file: Seekable, size: int) -> bool:
    """Whether frames are missing behind the end of the file, as its container tells.

    Args:
        file: At any place.
        size: Of the file, in bytes.

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
    """Name and end of the boxes of an MP4 or QuickTime file (ISO/IEC 14496-12, 4.2)."""
    begin = 0
    while begin + 8 <= size:
        head = _at(file, begin, 16)
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1:  # the length follows in 8 bytes
            (length,) = struct.unpack(">Q", head[8:])
        elif length == 0:  # to the end of the file
            length = size - begin
        if length < 8 or not name.isalnum():
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
        name = name[: 9 - name[0].bit_length()]  # as many bytes as its first one tells
        length, begin = _element(file, at + len(name))
        if length is None:
            break
        at = begin + length
    return at == size or name not in _BEHIND


def _is_cut_avi(file: Seekable, size: int) -> bool:
    """AVI: lists `movi` within chunks `RIFF`, of which files over 1 GiB have several."""
    begin = 0
    while begin + 12 <= size:
        head = _at(file, begin, 12)
        (length,) = struct.unpack("<I", head[4:8])
        if length in _UNKNOWN:
            return False
        if head[:4] == b"RIFF":
            begin += 12  # into it
            continue
        if head[:4] == b"LIST" and head[8:] == b"movi" and begin + 8 + length > size:
            return True
        begin += 8 + length + length % 2
    return False


def _at(file: Seekable, begin: int, size: int) -> bytes:
    """So many bytes from a place on; zeros where the file or the disk gives fewer."""
    file.seek(begin)
    return file.read(size).ljust(size, b"\0")


def _element(file: Seekable, at: int) -> tuple[int | None, int]:
    """An element's length, None where it is not known (a live recording), and where its content begins."""
    data = _at(file, at, 8)
    first = data[0] if data else 0
    width = 9 - first.bit_length()  # as many bytes as there are zeros in front of the first one
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    unknown = first == 0 or value == (1 << 7 * width) - 1
    return None if unknown else value, at + width
