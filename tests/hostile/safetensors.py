"""Safetensors files whose headers lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save

from tests.hostile.pickling import WEIGHTS

DATA = bytes(64)


def file(header: bytes, data: bytes = DATA, *, length: int | None = None) -> Callable[[Path], None]:
    size = (len(header) if length is None else length).to_bytes(8, "little")
    return lambda path: _write(path, size + header + data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def one(**changes: object) -> Callable[[Path], None]:
    """One tensor of 16 float32, but for these changes."""
    return file(
        json.dumps({"a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64], **changes}}).encode()
    )


def _two(path: Path) -> None:
    """A whole network whose tensors all lie at the same bytes."""
    data = save(WEIGHTS)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    for entry in header.values():
        begin, end = entry["data_offsets"]
        entry["data_offsets"] = [0, end - begin]
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + size :])


def _cut(path: Path) -> None:
    data = save(WEIGHTS)
    path.write_bytes(data[: len(data) // 2])


_ENTRY = b'{"dtype":"F32","shape":[16],"data_offsets":[0,64]}'
SAFETENSORS: dict[str, Callable[[Path], None]] = {
    "a header of 2^63 bytes": file(b"{}", length=1 << 63),
    "a header of 2^64 - 1 bytes": file(b"{}", length=(1 << 64) - 1),
    "a header longer than the file": file(b"{}", length=1 << 20),
    "a header of 100,000 brackets": file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a header of 100,000 objects": file(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a header without an end": file(b'{"a":' + _ENTRY),
    "a header that is no UTF-8": file(b'{"\xff\xfe":' + _ENTRY + b"}"),
    "a header of no JSON": file(b"{[1,2]}"),
    "80,000 tensors": file(
        b"{"
        + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(80_000))
        + b"}",
        b"",
    ),
    "a name twice": file(b'{"a":' + _ENTRY + b',"a":' + _ENTRY + b"}"),
    "metadata of numbers": file(b'{"__metadata__":{"a":1},"b":' + _ENTRY + b"}"),
    "an empty header": file(b"{}", b""),
    "an unknown type": one(dtype="F512"),
    "a type that is a number": one(dtype=7),
    "offsets behind the file": one(data_offsets=[0, 1 << 40]),
    "offsets of 2^64": one(data_offsets=[0, 1 << 64]),
    "offsets backwards": one(data_offsets=[64, 0]),
    "negative offsets": one(data_offsets=[-64, 0]),
    "offsets of a half": one(data_offsets=[0.5, 64.5]),
    "a shape of 2^126": one(shape=[1 << 63, 1 << 63]),
    "a shape of 2^64": one(shape=[1 << 32, 1 << 32]),
    "a negative shape": one(shape=[-4, -4]),
    "a shape that does not fit": one(shape=[17]),
    "tensors on top of each other": _two,
    "a hole before the data": one(data_offsets=[1, 64], shape=[63], dtype="U8"),
    "cut off": _cut,
}
