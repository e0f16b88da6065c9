"""Whether a Matroska file was cut off: FFmpeg takes the cut for the file's end and says nothing."""

from __future__ import annotations

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")  # RFC 8794, 8.1; RFC 9559, 5.1
HEAD_BYTES = 256  # the EBML header in front of the segment has about 40


def is_cut_off(head: bytes, size: int) -> bool:
    """Whether the segment says that it ends behind the end of the file.

    Args:
        head: The file's first `HEAD_BYTES`.
        size: Of the file, in bytes.

    >>> whole = bytes.fromhex("1a45dfa3 80 18538067 83 ec8100")
    >>> is_cut_off(whole, len(whole)), is_cut_off(whole[:-1], len(whole) - 1)
    (False, True)
    """
    if not head.startswith(_EBML):
        return False
    length, begin = _length(head, len(_EBML))
    at = begin + (length or 0)
    if head[at : at + len(_SEGMENT)] != _SEGMENT:
        return False
    length, begin = _length(head, at + len(_SEGMENT))
    return length is not None and begin + length > size


def _length(data: bytes, at: int) -> tuple[int | None, int]:
    """An element's length, None where it is not known (a live recording), and where its content begins."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()  # as many bytes as there are zeros in front of the first one
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = first == 0 or value == (1 << 7 * width) - 1
    return None if unknown else value, at + width
