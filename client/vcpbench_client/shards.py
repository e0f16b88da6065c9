"""Several safetensors files as one: its header is made new, and the numbers are read where they lie.

Hugging Face writes a large network as shards and an index, `model.safetensors.index.json`. A server takes one
file. So the client reads the shards as if they were one file, and never holds a whole file in memory.

A file is eight bytes with the length of a header, the header in JSON, and the numbers. The header gives type,
shape and place of each tensor. Source: github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import bisect
import io
import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vcpbench_client.errors import FileError

INDEX = ".safetensors.index.json"
MAX_HEADER = 100_000_000  # bytes; the format's own limit
MAX_INDEX = 64 << 20  # bytes; the largest video networks have an index of less than 1 MB
SIZES = {  # bytes of a number
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes of an open file.

    Attributes:
        file: The file.
        begin: Where they begin in it.
        size: How many there are.
    """

    file: BinaryIO
    begin: int
    size: int


class Joined(io.RawIOBase):
    """Pieces of files, one after the other, as one file for reading.

    Args:
        pieces: The pieces in their order.
        files: The files that are closed with this one.
    """

    def __init__(self, pieces: Iterable[Piece], files: ExitStack) -> None:
        super().__init__()
        self._pieces = list(pieces)
        self._files = files
        self._begins = list(itertools.accumulate((piece.size for piece in self._pieces), initial=0))
        self._at = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._begins[-1]}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as the piece at this place and the buffer have."""
        if self._at >= self._begins[-1]:
            return 0
        number = bisect.bisect_right(self._begins, self._at) - 1
        piece, at = self._pieces[number], self._at - self._begins[number]
        piece.file.seek(piece.begin + at)
        data = piece.file.read(min(len(buffer), piece.size - at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def state(self) -> tuple[int, ...]:
        """The size, and the size and time of change of each file."""
        opened = dict.fromkeys(piece.file for piece in self._pieces if not isinstance(piece.file, io.BytesIO))
        found = [os.fstat(file.fileno()) for file in opened]
        return self._begins[-1], *(one for fact in found for one in (fact.st_size, fact.st_mtime_ns))

    def close(self) -> None:
        """Close all files."""
        self._files.close()
        super().close()


def join(index: Path) -> BinaryIO:
    """Open the shards of an index as one file.

    Args:
        index: The file `*.safetensors.index.json`. The shards lie beside it.

    Returns:
        A safetensors file, byte for byte the same for the same shards.

    Raises:
        FileError: If a shard is missing or damaged, or the index places a tensor elsewhere.
    """
    shards = _shards(index)
    with ExitStack() as undo:
        placed: dict[str, tuple[dict[str, Any], Piece]] = {}
        for name in sorted(set(shards.values())):
            file = undo.enter_context(_opened(index.parent / name, index))
            for key, fact, piece in _tensors(file, index.parent / name):
                if shards.get(key) != name:
                    raise _wrong(index, f"{name} holds {key!r}, which the index does not place there")
                placed[key] = fact, piece
        lost = [key for key in shards if key not in placed]
        if lost:
            raise _wrong(index, f"{shards[lost[0]]} lacks {lost[0]!r}, which the index places there")
        # Wide numbers first, so that every tensor begins at a multiple of its numbers' size.
        ordered = sorted(placed, key=lambda key: (-SIZES[placed[key][0]["dtype"]], shards[key], key))
        header = _header({key: placed[key] for key in ordered})
        pieces = [Piece(file=io.BytesIO(header), begin=0, size=len(header))]
        pieces += [placed[key][1] for key in ordered if placed[key][1].size]
        return io.BufferedReader(Joined(pieces, undo.pop_all()), 1 << 20)
    raise AssertionError


def _shards(index: Path) -> dict[str, str]:
    """The shard of each tensor, by the index."""
    try:
        if index.stat().st_size > MAX_INDEX:
            raise _wrong(index, f"it has more than {MAX_INDEX:,} bytes")
        found = json.loads(index.read_bytes())
        shards = {str(key): str(name) for key, name in found["weight_map"].items()}
    except OSError as error:
        raise FileError(index, f" cannot be read: {error.strerror or error}.", path=index) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _wrong(index, "it is no index of safetensors: it has no `weight_map`") from None
    outside = [name for name in shards.values() if Path(name).name != name or "\\" in name]
    if outside or not shards:
        raise _wrong(
            index, f"it names {outside[0]!r}, which leads out of its folder" if outside else "it is empty"
        )
    return shards


def _opened(path: Path, index: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise _wrong(index, f"the shard {path.name} is missing. Download it, too") from None
    except OSError as error:
        raise FileError(path, f" cannot be read: {error.strerror or error}.", path=path) from error


def _tensors(file: BinaryIO, path: Path) -> list[tuple[str, dict[str, Any], Piece]]:
    """Each tensor of a shard: its name, its type and shape, and its bytes."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(MAX_HEADER, size - 8):
        raise _wrong(path, "it is cut off, or no safetensors file. Download it again")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_once)
        header.pop("__metadata__", None)
        found, ends = [], []
        for key, fact in header.items():
            dtype, shape = str(fact["dtype"]), list(map(_whole, fact["shape"]))
            begin, end = map(_whole, fact["data_offsets"])
            if dtype not in SIZES:
                raise _wrong(path, f"{key!r} has numbers of the type {dtype!r}, which is not joined")
            if end - begin != math.prod(shape) * SIZES[dtype]:
                raise ValueError
            piece = Piece(file=file, begin=8 + length + begin, size=end - begin)
            found.append((key, {"dtype": dtype, "shape": shape}, piece))
            ends.append((begin, end))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _wrong(path, "its header makes no sense. Download it again") from None
    at = 0
    for begin, end in sorted(ends):
        if begin != at:
            raise _wrong(path, "its tensors overlap, or leave gaps. Download it again")
        at = end
    if 8 + length + at != size:
        raise _wrong(
            path, f"it has {size:,} bytes, and its header speaks of {8 + length + at:,}. Download it again"
        )
    return found


def _header(placed: Mapping[str, tuple[dict[str, Any], Piece]]) -> bytes:
    at, facts = 0, dict[str, Any]({"__metadata__": {"format": "pt"}})
    for key, (fact, piece) in placed.items():
        facts[key] = {**fact, "data_offsets": [at, at + piece.size]}
        at += piece.size
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _whole(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(number)
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _wrong(path: Path, what: str) -> FileError:
    return FileError(path, f": {what}.", path=path)
