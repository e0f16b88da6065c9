"""Tools for hostile pickles: any call as a pickle, and any pickle in each container of `torch.save`."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vcp_core.backbones import build

PROTO2 = pickle.PROTO + b"\x02"
MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001  # torch/serialization.py
WEIGHTS = build("r3d_tiny", seed=4).state_dict()


class Call:
    """Pickles as a call of a global, or of what another call returns."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call

    def __call__(self) -> None:
        """Never called: a pickler wants a function that is callable."""


def method(owner: object, name: str, *arguments: object) -> Call:
    """A call of a method, by way of getattr."""
    return Call(Call(getattr, owner, name), *arguments)


class Stored(NamedTuple):
    """Pickles as a persistent id, by which a tensor names its storage."""

    id: object


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: object) -> object:
        return thing.id if isinstance(thing, Stored) else None


def dumped(thing: object, protocol: int = 2) -> bytes:
    held = io.BytesIO()
    _Pickler(held, protocol).dump(thing)
    return held.getvalue()


def text(value: str) -> bytes:
    """The instruction that pushes a text."""
    data = value.encode()
    return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data


def in_zip(path: Path, pickled: bytes, entries: Mapping[str, bytes] | None = None) -> None:
    """Put a pickle, and bytes of storages, into an archive of the form that torch writes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for name, data in (entries or {"data/0": bytes(4)}).items():
            archive.writestr(f"archive/{name}", data)
        archive.writestr("archive/version", "3\n")


def in_legacy(path: Path, pickled: bytes, *, keys: bytes | None = None, system: bytes | None = None) -> None:
    """Put a pickle into the older format: five pickles one after the other."""
    little = {"protocol_version": LEGACY_VERSION, "little_endian": True, "type_sizes": {}}
    head = dumped(MAGIC) + dumped(LEGACY_VERSION) + (system or dumped(little))
    path.write_bytes(head + pickled + (keys or dumped([])))


def plain(path: Path, pickled: bytes) -> None:
    path.write_bytes(pickled)


def storage(number: int, size: int, kind: type = torch.FloatStorage, device: str = "cpu") -> Stored:
    return Stored(("storage", kind, str(number), device, size))


def rebuilt(stored: Stored, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    """A tensor as torch pickles it, with nothing checked."""
    return Call(torch._utils._rebuild_tensor_v2, stored, offset, shape, stride, False, OrderedDict())


def network(path: Path, lie: Callable[[int, torch.Tensor], object]) -> None:
    """Save a whole network whose first weight is replaced by what `lie` makes of its storage's number."""
    kinds = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}
    state: dict[str, object] = {}
    for number, (key, value) in enumerate(WEIGHTS.items()):
        stored = storage(number, value.numel(), kinds[value.dtype])
        state[key] = rebuilt(stored, 0, tuple(value.shape), value.stride())
        if number == 0:
            state[key] = lie(number, value)
    entries = {f"data/{n}": value.numpy().tobytes() for n, value in enumerate(WEIGHTS.values())}
    in_zip(path, dumped(state), entries)
