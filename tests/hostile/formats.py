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


# An object of a class of TorchScript, without attributes.
SCRIPTED = b"\x80\x02c__torch__.a\nNet\n)\x81}b."
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


def script(**pickles: bytes) -> Callable[[Path], None]:
    """A TorchScript archive with these pickles."""

    def build(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as made:
            for name, data in ({"data": SCRIPTED, "constants": pickle.dumps((), 2)} | pickles).items():
                made.writestr(f"m/{name}.pkl", data)
            made.writestr("m/code/__torch__/a.py", "import os; os.abort()")
            made.writestr("m/version", "3\n")

    return build


def in_script(path: Path, canary: str) -> None:
    """Code in the attributes of a TorchScript archive."""
    script(data=dumped(Call(os.system, shell(canary))))(path)


def in_constants(path: Path, canary: str) -> None:
    """Code in the constants of a TorchScript archive, which are not opened."""
    script(constants=dumped(Call(os.system, shell(canary))))(path)


PLACES: dict[str, Callable[[Path, str], None]] = {
    "os.system before the weights": in_system,
    "os.system behind the weights": in_keys,
    "os.system in place of the magic number": in_first,
    "os.system in a second data.pkl": in_second_entry,
    "os.system in TorchScript": in_script,
    "os.system in TorchScript's constants": in_constants,
}


def with_code_bomb(path: Path) -> None:
    """A TorchScript archive whose code unpacks to 1.1 GB."""
    script()(path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as made,
        made.open("m/code/bomb.py", "w", force_zip64=True) as entry,
    ):
        for _ in range(1_100):
            entry.write(bytes(1_000_000))


def with_classes(number: int, *, objects: int) -> bytes:
    """A pickle of TorchScript with many classes, and many objects of the first one."""
    asked = b"".join(b"c__torch__.a%d\nNet\na" % n for n in range(number))
    made = b"c__torch__.a0\nNet\nq\x00a" + b"h\x00)\x81}ba" * objects
    return b"\x80\x02]" + asked + made + b"."


SCRIPTS: dict[str, Callable[[Path], None]] = {
    "TorchScript without attributes": script(),
    "TorchScript with a bomb for its code": with_code_bomb,
    "TorchScript of 100,000 classes": script(data=with_classes(100_000, objects=1)),
    "TorchScript of 2,000 classes and 500,000 objects": script(data=with_classes(2_000, objects=500_000)),
    "TorchScript that nests itself": script(
        data=b"\x80\x02c__torch__.a\nNet\n)\x81q\x01}X\x01\x00\x00\x00ah\x01sb."
    ),
}
