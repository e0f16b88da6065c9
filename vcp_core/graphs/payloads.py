"""Weights as raw bytes: where they lie in an archive, and tensors from them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vcp_core.catalog.errors import DamagedCheckpoint, GraphError, NonFiniteWeights, UnsafeCheckpoint
from vcp_core.catalog.names import printable
from vcp_core.graphs.archive import Archive
from vcp_core.graphs.operations import DTYPES, MOST_SIZE
from vcp_core.graphs.program import Kind
from vcp_core.graphs.schema import DTYPE_NAMES, STRIDED

MAX_RANK = 16  # dimensions of a weight; a convolution's has 5
MAX_WEIGHT_BYTES = 16 << 30  # of one entry; as large as a whole checkpoint may be
# A view may have more elements than its storage: a stride of 0 repeats them. The canonical file of families
# has the same limit (vcp_core/checkpoints/canonical.py).
MAX_REPEATS = 16
FREE_ELEMENTS = 4096  # of one tensor, however few are stored
_PATH = re.compile(r"(?:weight|tensor)_[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Payload:
    """Where a weight lies.

    Attributes:
        entry: The entry of the archive.
        dtype: Its type, such as "float32".
        shape: Its shape.
        strides: Distance from one element to the next along each dimension, in elements.
        offset: Its first element, in elements of the entry.
    """

    entry: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @property
    def num_elements(self) -> int:
        """How many elements the weight has."""
        return math.prod(self.shape)


def payload_of(config: Mapping[str, Any], name: str, folder: str, archive: Archive) -> Payload:
    """Read where a weight lies, and check that it lies inside its bytes.

    Args:
        config: The archive's description of the weights in `folder`.
        name: The weight's name.
        folder: The folder of the entry.
        archive: The archive.

    Raises:
        GraphError: If the weight is missing or empty, is of a type that is not run, or repeats too few
            elements.
        DamagedCheckpoint: If it needs more bytes than its entry has, or its entry is missing.
        UnsafeCheckpoint: If it is a pickle, or its path leads elsewhere.
    """
    shown = printable(name)[:100]
    if name not in config:
        raise GraphError(
            f"the weight {shown} is missing in it. Export it again, and change nothing in the file.",
            reason="missing_weight",
            weight=shown,
        )
    said = config[name]
    meta, path = said["tensor_meta"], str(said["path_name"])
    if said["use_pickle"] is not False or meta is None:
        raise UnsafeCheckpoint(
            f"the weight {shown} is a pickle, which is never opened. Export plain tensors on a CPU.",
            weight=shown,
        )
    if not _PATH.fullmatch(path):
        raise UnsafeCheckpoint(
            f"the path of the weight {shown} leads outside of the weights. The file was changed; export it "
            "again.",
            weight=shown,
        )
    if meta["layout"] != STRIDED or meta["dtype"] not in DTYPE_NAMES:
        raise GraphError(
            f"the weight {shown} is sparse, quantised, complex or of 8-bit floats, which are not run. Export "
            "the network before quantisation, with model.float().",
            reason="weight_dtype",
            weight=shown,
        )
    payload = Payload(
        entry=f"{folder}{path}",
        dtype=DTYPE_NAMES[meta["dtype"]],
        shape=tuple(_number(size) for size in meta["sizes"]),
        strides=tuple(_number(size) for size in meta["strides"]),
        offset=_number(meta["storage_offset"]),
    )
    _expect_inside(payload, archive, shown)
    return payload


def _number(size: Mapping[str, Any]) -> int:
    """A size of a weight: a number, never an expression."""
    ((form, value),) = size.items()
    if form != "as_int" or type(value) is not int or not 0 <= value < MOST_SIZE:
        raise GraphError(
            "a size of a weight in it is an expression, below zero, or no size at all. Export it again.",
            reason="expression",
        )
    return value


def _expect_inside(payload: Payload, archive: Archive, shown: str) -> None:
    entry = archive.entries.get(payload.entry)
    if entry is None:
        raise DamagedCheckpoint(
            f"the bytes of the weight {shown} are missing in it. Copy or export it again."
        )
    stored = entry.size // DTYPES[payload.dtype].itemsize
    reach = (
        payload.offset
        + 1
        + sum((size - 1) * stride for size, stride in zip(payload.shape, payload.strides, strict=True))
    )
    if not payload.num_elements:
        raise GraphError(
            f"the weight {shown} has no elements. Export the network without it.",
            reason="empty_weight",
            weight=shown,
        )
    if len(payload.shape) > MAX_RANK or reach > stored:
        raise DamagedCheckpoint(
            f"the weight {shown} needs more bytes than it has: its shape, strides and offset reach element "
            f"{reach:,}, and {stored:,} are stored. Copy or export it again.",
            weight=shown,
        )
    if payload.num_elements - FREE_ELEMENTS > MAX_REPEATS * stored:
        raise GraphError(
            f"the weight {shown} has {payload.num_elements:,} elements, and the file stores {stored:,} of "
            f"them. A view may repeat an element at most {MAX_REPEATS} times. Save a clone of it.",
            reason="repeated_weight",
            weight=shown,
        )


def tensors_of(payloads: Mapping[str, Payload], archive: Archive) -> dict[str, Tensor]:
    """Read all weights: contiguous tensors on the CPU, in the order of `payloads`.

    Raises:
        DamagedCheckpoint: If a checksum is wrong.
        GraphError: If weights share far too few stored elements.
        GraphTooLarge: If the bytes of one are too many.
    """
    sharing: dict[str, list[str]] = {}
    for name, payload in payloads.items():
        sharing.setdefault(payload.entry, []).append(name)
    _refuse_shared_by_many(payloads, sharing, archive)
    found: dict[str, Tensor] = {}
    for entry, names in sharing.items():  # each entry is read once, however many weights lie in it
        data = archive.read(entry, most_bytes=MAX_WEIGHT_BYTES)
        found |= {name: _tensor(payloads[name], data) for name in names}
    return {name: found[name] for name in payloads}


def _refuse_shared_by_many(
    payloads: Mapping[str, Payload], sharing: Mapping[str, list[str]], archive: Archive
) -> None:
    needed = sum(max(one.num_elements - FREE_ELEMENTS, 0) for one in payloads.values())
    stored = sum(archive.entries[entry].size for entry in sharing)
    if needed > MAX_REPEATS * stored:
        raise GraphError(
            f"its weights have {needed:,} elements in {stored:,} bytes, which they share. Stored numbers may "
            f"be used at most {MAX_REPEATS} times. Save clones of them.",
            reason="repeated_weight",
        )


def _tensor(payload: Payload, data: bytes) -> Tensor:
    dtype = DTYPES[payload.dtype]
    whole = bytearray(data[: len(data) - len(data) % dtype.itemsize])
    # A byte that is neither 0 nor 1 is no truth value, and torch does not expect it.
    stored = torch.frombuffer(whole, dtype=torch.uint8 if dtype == torch.bool else dtype)
    stored = stored.ne(0) if dtype == torch.bool else stored
    # The numbers were checked against the entry's size (`payload_of`).
    return stored.as_strided(payload.shape, payload.strides, payload.offset).contiguous()


def expect_finite(name: str, kind: Kind, tensor: Tensor) -> None:
    """Refuse NaN in any weight, and infinity in a parameter. A mask of attention may hold infinity.

    Raises:
        NonFiniteWeights: If there is one. The message names the weight and counts its numbers.

    >>> expect_finite("mask", "buffer", torch.tensor([0.0, float("-inf")]))
    """
    if not tensor.is_floating_point() or not tensor.numel():
        return
    # The extremes are NaN if any number is. They need no copy of the tensor, as counting does.
    extremes = torch.stack(torch.aminmax(tensor))
    if extremes.isfinite().all() or (kind != "parameter" and not extremes.isnan().any()):
        return
    broken = int((~tensor.isfinite() if kind == "parameter" else tensor.isnan()).sum())
    shown = printable(name)[:100]
    raise NonFiniteWeights(
        f"NaN or infinity in its weight {shown} ({broken:,} of {tensor.numel():,} numbers). The training "
        "diverged, or a number did not fit its type. Use an earlier checkpoint.",
        weight=shown,
    )
