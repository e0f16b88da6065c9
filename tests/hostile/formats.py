"""Files of other formats, and files that are no format at all."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.attacks import shell
from tests.hostile.pickling import Call, dumped, in_legacy


def archive(**entries: bytes) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as made:
            for name, data in entries.items():
                made.writestr(name.replace("__", "/").replace("_dot_", "."), data)

    return build


def contents(data: bytes) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        path.write_bytes(data)

    return build


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as made:
        for name in ("../../../tmp/x", "storages", "tensors", "pickle"):
            made.addfile(tarfile.TarInfo(name), io.BytesIO())


def sparse(head: bytes, size: int) -> Callable[[Path], None]:
    """A file that takes some bytes of the disk and says that it is huge."""

    def build(path: Path) -> None:
        path.write_bytes(head)
        os.truncate(path, size)

    return build


_NOISE = random.Random(4)
_HEAD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
GIB = 1 << 30
FORMATS: dict[str, Callable[[Path], None]] = {
    "TorchScript": archive(
        m__data_dot_pkl=b"", m__constants_dot_pkl=b"", m__code__run_dot_py=b"def run(): ..."
    ),
    "an exported program": archive(p__archive_format=b"pt2", p__models__m_dot_json=b"{}", p__weights__w=b""),
    "a Keras archive": archive(model_dot_weights_dot_h5=b""),
    "NumPy's arrays": archive(a_dot_npy=b"\x93NUMPY"),
    "a tar of the years before 2017": tar,
    "a file of gzip": contents(gzip.compress(dumped({"a": 1}))),
    "a gzip bomb": contents(gzip.compress(bytes(50_000_000))),
    "HDF5": contents(b"\x89HDF\r\n\x1a\n" + bytes(64)),
    "ONNX": contents(b"\x08\x07\x12\x07pytorch" + bytes(64)),
    "GGUF": contents(b"GGUF\x03" + b"\xff" * 64),
    "an empty file": contents(b""),
    "one byte": contents(b"\x80"),
    "zeros": contents(bytes(4096)),
    "noise": contents(_NOISE.randbytes(4096)),
    "noise after a zip's magic": contents(b"PK\x03\x04" + _NOISE.randbytes(4096)),
    "noise after a pickle's magic": contents(b"\x80\x02" + _NOISE.randbytes(4096)),
    "noise after the older format's magic": contents(_HEAD + _NOISE.randbytes(4096)),
    "text": contents(b"#!/bin/sh\nrm -rf /\n"),
    "a web page": contents(b"<!DOCTYPE html><script>alert(1)</script>"),
    "a program of Linux": contents(b"\x7fELF\x02\x01\x01" + bytes(64)),
    "a sparse file of zeros": sparse(b"\x00", 40 * GIB),
    "a sparse file of the older format": sparse(_HEAD, 4 * GIB),
    "a sparse zip": sparse(b"PK\x03\x04", 40 * GIB),
    "a sparse pickle": sparse(b"\x80\x02]", 4 * GIB),
    "a sparse safetensors": sparse((90_000_000).to_bytes(8, "little") + b"{", 40 * GIB),
}


def in_system(path: Path, canary: str) -> None:
    """Code in the third pickle of the older format, before the weights."""
    in_legacy(path, dumped({}), system=dumped(Call(os.system, shell(canary))))


def in_keys(path: Path, canary: str) -> None:
    """Code in the fifth pickle of the older format, behind the weights."""
    in_legacy(path, dumped({}), keys=dumped(Call(os.system, shell(canary))))


def in_first(path: Path, canary: str) -> None:
    """Code in the first pickle, in which the older format has its magic number."""
    path.write_bytes(dumped(Call(os.system, shell(canary))) + pickle.dumps({}, 2))


def in_second_entry(path: Path, canary: str) -> None:
    """Code in a second `data.pkl`: readers do not agree which of two entries of one name counts."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", dumped({"a": 1}))
        made.writestr("archive/version", "3\n")
        made.writestr("archive/data.pk_", dumped(Call(os.system, shell(canary))))
    path.write_bytes(path.read_bytes().replace(b"data.pk_", b"data.pkl"))


PLACES: dict[str, Callable[[Path, str], None]] = {
    "os.system before the weights": in_system,
    "os.system behind the weights": in_keys,
    "os.system in place of the magic number": in_first,
    "os.system in a second data.pkl": in_second_entry,
}
