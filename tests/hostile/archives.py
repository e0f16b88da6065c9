"""Zip archives that lie about themselves, or unpack to far more than they are."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.hostile.pickling import WEIGHTS, dumped, in_zip, network, rebuilt, storage

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
MIB = 1 << 20


def _sound() -> bytes:
    held = io.BytesIO()
    torch.save(WEIGHTS, held)
    return held.getvalue()


def _patched(path: Path, signature: bytes, at: int, value: bytes, *, which: int = 0) -> None:
    """Overwrite bytes of a header of a sound archive; `which` counts the headers of that signature."""
    data, begin = bytearray(_sound()), -1
    for _ in range(which + 1):
        begin = data.index(signature, begin + 1)
    data[begin + at : begin + at + len(value)] = value
    path.write_bytes(data)


def bomb(path: Path) -> None:
    """1.1 GB of zeros that take 5 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", dumped({"a": 1}))
        archive.writestr("archive/version", "3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(1_100):
                entry.write(bytes(1_000_000))


def overlapping_bomb(path: Path) -> None:
    """1,000 entries of the list whose bytes are one and the same MiB of zeros (Fifield, 2019)."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", dumped({"a": 1}))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0000", bytes(MIB))
    data = held.getvalue()
    directory, end = data.index(CENTRAL), data.index(END)
    last = data.rindex(CENTRAL)
    copies = [data[last:end].replace(b"data/0000", b"data/%04d" % n) for n in range(1, 1_000)]
    listed = data[directory:end] + b"".join(copies)
    tail = struct.pack("<4s4H2IH", END, 0, 0, 1_002, 1_002, len(listed), directory, 0)
    path.write_bytes(data[:directory] + listed + tail)


def very_many_entries(path: Path) -> None:
    in_zip(path, dumped({"a": 1}), {f"data/{number}": b"" for number in range(40_000)})


def a_bomb_of_another_method(method: int) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        numbers = 64 * MIB // 4
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(
                "archive/data.pkl", dumped({"a": rebuilt(storage(0, numbers), 0, (numbers,), (1,))})
            )
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/data/0", bytes(4 * numbers))

    return build


def with_names(*names: str) -> Callable[[Path], None]:
    """An archive with these entries beside a pickle without tensors."""
    return lambda path: in_zip(path, dumped({"a": 1}), dict.fromkeys(names, b"* * * * * root touch /tmp/x\n"))


def a_link(path: Path) -> None:
    """The pickle is stored as a symbolic link to another file."""
    link = zipfile.ZipInfo("archive/data.pkl")
    link.create_system, link.external_attr = 3, 0o120777 << 16  # a link of Unix
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("archive/version", "3\n")


def in_tail(at: int, value: bytes) -> Callable[[Path], None]:
    """Overwrite bytes of the tail. torch's own archives have a second tail (zip64), which counts alone."""

    def build(path: Path) -> None:
        network(
            path,
            lambda number, value: rebuilt(storage(number, value.numel()), 0, (*value.shape,), value.stride()),
        )
        data = path.read_bytes()
        begin = data.index(END) + at
        path.write_bytes(data[:begin] + value + data[begin + len(value) :])

    return build


def in_list(at: int, value: bytes, *, which: int = 0) -> Callable[[Path], None]:
    return lambda path: _patched(path, CENTRAL, at, value, which=which)


def cut(share: float) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        data = _sound()
        path.write_bytes(data[: int(len(data) * share)])

    return build


def zip64_lies(path: Path) -> None:
    """The end of a large archive (zip64) that places its list at 2^63."""
    data = _sound()
    end = data.index(END)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 46, 1 << 63)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = struct.pack("<4s4H2IH", END, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(data[:end] + record + locator + tail)


def with_flipped_bit(path: Path) -> None:
    data = bytearray(_sound())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


FOUR_GB = b"\xfe\xff\xff\xff"
ARCHIVES: dict[str, Callable[[Path], None]] = {
    "a zip bomb": bomb,
    "a zip bomb of overlapping entries": overlapping_bomb,
    "a zip bomb of bzip2": a_bomb_of_another_method(zipfile.ZIP_BZIP2),
    "a zip bomb of LZMA": a_bomb_of_another_method(zipfile.ZIP_LZMA),
    "40,000 entries": very_many_entries,
    "entries named ../": with_names("../../../../etc/cron.d/x", "data/../../../x"),
    "entries named /": with_names("/etc/cron.d/x", "\\\\server\\share\\x", "C:\\x"),
    "a name of 60,000 characters": with_names("x" * 60_000),
    "a name with control characters": with_names("data/\x1b[2J\r\n\u202e"),
    "a link for the pickle": a_link,
    "a pickle in each of two folders": with_names("inner/data.pkl"),
    "entries that say that they are encrypted": in_list(8, b"\x01\x08"),
    "an unknown compression": in_list(10, b"\x63\x00"),
    "a pickle of 4 GB by the list": in_list(20, FOUR_GB * 2),
    "weights of 4 GB by the list": in_list(20, FOUR_GB * 2, which=8),
    "an entry behind the end": in_list(42, FOUR_GB),
    "an entry on another entry": in_list(42, bytes(4), which=8),
    "a name longer than the list": in_list(28, b"\xff\xff"),
    "a wrong checksum": in_list(16, bytes(4), which=8),
    "65,535 entries by the tail": in_tail(10, b"\xff\xff"),
    "a list of 4 GB by the tail": in_tail(12, FOUR_GB),
    "a list at 4 GB by the tail": in_tail(16, FOUR_GB),
    "zip64 that lies": zip64_lies,
    "the list cut off": cut(0.995),
    "cut off in its weights": cut(0.5),
    "a flipped bit in a weight": with_flipped_bit,
}
