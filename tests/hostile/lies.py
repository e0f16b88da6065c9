"""Pickles that cost much, and tensors that are not what they say."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch

from tests.hostile.pickling import (
    PROTO2,
    WEIGHTS,
    Call,
    Stored,
    dumped,
    in_legacy,
    in_zip,
    network,
    rebuilt,
    storage,
    text,
)

MERSENNE = (1 << 61) - 1  # CPython's modulus of hashes: all its multiples hash to 0


def zipped(pickled: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: in_zip(path, pickled())


def legacy(pickled: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: in_legacy(path, pickled())


def doubled(times: int) -> bytes:
    """A tuple of twice the same tuple, and so on: 2^times leaves."""
    return b")q\x00" + b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(times))


def colliding(count: int) -> bytes:
    """A dictionary of numbers with one hash: each new key is compared with all before."""
    keys = (dumped(number * MERSENNE)[2:-1] + b"K\x00" for number in range(1, count + 1))
    return PROTO2 + b"}(" + b"".join(keys) + b"u."


BOMBS: dict[str, Callable[[Path], None]] = {
    "a million lists in each other": zipped(lambda: PROTO2 + b"]" * 1_000_000 + b"a" * 999_999 + b"."),
    "a million tuples in each other": legacy(lambda: PROTO2 + b")" + b"\x85" * 1_000_000 + b"."),
    "tuples in each other as a key": zipped(lambda: PROTO2 + b"})" + b"\x85" * 1_000_000 + b"K\x00s."),
    "2^60 leaves": zipped(lambda: PROTO2 + doubled(60) + b"."),
    "2^60 leaves as a key": zipped(lambda: PROTO2 + b"}" + doubled(60) + b"K\x00s."),
    "2^60 leaves in a set": legacy(lambda: PROTO2 + b"cbuiltins\nset\n]" + doubled(60) + b"a\x85R."),
    "keys with one hash": zipped(lambda: colliding(60_000)),
    "a list that holds itself": zipped(lambda: PROTO2 + b"]q\x00h\x00a."),
    "4 million instructions": legacy(lambda: PROTO2 + b"]0" * 2_000_000 + b"N."),
    "4 million marks": legacy(lambda: PROTO2 + b"(" * 4_000_000 + b"t."),
    "a number of a million digits": zipped(
        lambda: PROTO2 + b"}\x8b" + (400_000).to_bytes(4, "little") + b"\x7f" * 400_000 + b"K\x00s."
    ),
    "a number of 2 GB by its length": legacy(lambda: PROTO2 + b"\x8b\xff\xff\xff\x7f."),
    "a number of negative length": zipped(lambda: PROTO2 + b"\x8b\xff\xff\xff\xff."),
    "a decimal number of a million digits": legacy(lambda: PROTO2 + b"I" + b"7" * 1_000_000 + b"\n."),
    "a text of 4 GB by its length": zipped(lambda: PROTO2 + pickle.BINUNICODE + b"\xff" * 4 + b"x."),
    "a text of 2^63 bytes by its length": legacy(lambda: b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fx."),
    "bytes of 2^63 by their length": zipped(lambda: b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fx."),
    "a frame of 2^63 bytes": zipped(lambda: b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN."),
    "protocol 255": legacy(lambda: b"\x80\xffN."),
    "the memo at 2^32": zipped(lambda: PROTO2 + b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff."),
    "a name of the extension registry": zipped(lambda: PROTO2 + b"\x82\x01."),
    "a name of the registry by 4 bytes": legacy(lambda: PROTO2 + b"\x84\xff\xff\xff\x7f."),
    "the end before any value": zipped(lambda: PROTO2 + b"."),
    "an empty pickle": zipped(lambda: b""),
    "a text that is no UTF-8": zipped(lambda: PROTO2 + pickle.BINUNICODE + b"\x02\x00\x00\x00\xff\xfe."),
    "a key of lone surrogates": zipped(
        lambda: PROTO2 + b"}" + pickle.BINUNICODE + b"\x03\x00\x00\x00\xed\xa0\x80K\x00s."
    ),
    "a persistent id that is text": zipped(lambda: PROTO2 + text("../../etc/passwd") + b"Q."),
    "a persistent id of protocol 0": legacy(lambda: b"P/etc/passwd\n."),
    "a persistent id of numbers": zipped(lambda: PROTO2 + dumped((1, 2, 3))[2:-1] + b"Q."),
}


def first(lie: Callable[[int, torch.Tensor], object]) -> Callable[[Path], None]:
    return lambda path: network(path, lie)


def whole(change: Callable[[str, torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda path: torch.save({key: change(key, value) for key, value in WEIGHTS.items()}, path)


def filled(value: float, word: str) -> Callable[[Path], None]:
    return whole(lambda key, old: torch.full_like(old, value) if key.endswith(word) else old)


def _of(number: int, value: torch.Tensor, **changes: object) -> Call:
    parts: dict[str, object] = {
        "stored": storage(number, value.numel()), "offset": 0,
        "shape": tuple(value.shape), "stride": value.stride(), **changes,
    }  # fmt: skip
    return rebuilt(*parts.values())  # type: ignore[arg-type]


def named(*record: object) -> Callable[[Path], None]:
    """The first weight's storage has this persistent id."""
    return first(lambda number, value: _of(number, value, stored=Stored(record)))


FLOAT = torch.FloatStorage
TENSORS: dict[str, Callable[[Path], None]] = {
    "2^40 numbers of stride 0": first(
        lambda n, value: _of(n, value, shape=(1 << 20, 1 << 20), stride=(0, 0))
    ),
    "2^64 numbers of stride 0": first(
        lambda n, value: _of(n, value, shape=(1 << 32, 1 << 32), stride=(0, 0))
    ),
    "an offset behind the storage": first(lambda n, value: _of(n, value, offset=1 << 40)),
    "a negative offset": first(lambda n, value: _of(n, value, offset=-64)),
    "a negative size": first(lambda n, value: _of(n, value, shape=(-1, *value.shape[1:]))),
    "a negative stride": first(lambda n, value: _of(n, value, stride=(-1, *value.stride()[1:]))),
    "a stride of 2^62": first(lambda n, value: _of(n, value, stride=(1 << 62, *value.stride()[1:]))),
    "a stride too few": first(lambda n, value: _of(n, value, stride=value.stride()[1:])),
    "sizes that are texts": first(lambda n, value: _of(n, value, shape=("1", "2"))),
    "10,000 dimensions": first(lambda n, value: _of(n, value, shape=(1,) * 10_000, stride=(1,) * 10_000)),
    "a storage of negative size": named("storage", FLOAT, "0", "cpu", -1),
    "a storage that is not there": named("storage", FLOAT, "999", "cpu", 4),
    "a storage named ../": named("storage", FLOAT, "../../../../etc/passwd", "cpu", 4),
    "a storage that is a text": named("storage", "FloatStorage", "0", "cpu", 4),
    "a storage of tensors": named("storage", torch.Tensor, "0", "cpu", 4),
    "a storage on an unknown device": named("storage", FLOAT, "0", "ftp://host", 4),
    "a record that is no storage": named("module", FLOAT, "0", "cpu", 4),
    "a weight that is a number": first(lambda n, value: 1.0),
    "NaN": filled(float("nan"), "weight"),
    "infinity": filled(float("inf"), "bias"),
    "negative variances": filled(-1.0, "running_var"),
    "weights of another shape": whole(lambda key, value: value[..., None]),
    "weights that are one number each": whole(lambda key, value: value.new_ones(()).expand(value.shape)),
    "names of 1,000 dots": lambda path: torch.save(
        {"." * 1_000 + key: v for key, v in WEIGHTS.items()}, path
    ),
    "a name of a million characters": lambda path: torch.save(
        {**WEIGHTS, "x" * 1_000_000: torch.ones(1)}, path
    ),
    "names of control characters": lambda path: torch.save(
        {f"\x1b[2J\u202e\0{n}": torch.ones(1) for n in range(100)}, path
    ),
    "600 networks": lambda path: torch.save(
        {f"a{n}.{key}": value for n in range(600) for key, value in WEIGHTS.items()}, path
    ),
    "no tensors": lambda path: torch.save({"epoch": 3}, path),
}
