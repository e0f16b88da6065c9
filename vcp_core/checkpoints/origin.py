"""Read the origin that an exported checkpoint claims: its run, step and training data. No torch is needed.

The sender of the file makes this claim. The reader bounds the header's length and checks types, and no more.
So an origin may name a point of a learning curve, and it must never decide anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METADATA = "vcpbench"  # key of a safetensors header, whose value is JSON
MAX_HEADER_BYTES = 1_000_000  # our own headers have 8 kB
MAX_TEXT = 200  # characters


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The training run that a checkpoint comes from.

    Attributes:
        run: Name of the run.
        step: Optimizer steps before the export.
        epoch: Epochs before the export.
        task: "pretrain" or "finetune".
        backbone: Name of the backbone in the catalog.
        dataset: Name of the training data.
        dataset_split: The split whose training side was used.
        dataset_fingerprint: Fingerprint of that dataset.
        pretrained_on: The declared training data of the weights that the run started from; None if nothing
            was declared.
    """

    run: str
    step: int
    epoch: int
    task: str
    backbone: str
    dataset: str
    dataset_split: str
    dataset_fingerprint: str
    pretrained_on: str | None = None


def read_origin(path: Path) -> Origin | None:
    """Read the origin that a file claims; None if it claims none, or the claim is not valid.

    >>> from vcp_core.samples import sample_path
    >>> origin = read_origin(sample_path())
    >>> origin.backbone, origin.task, origin.step
    ('r3d_tiny', 'pretrain', 5250)
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER_BYTES:
                return None
            header = json.loads(file.read(length))
        said = json.loads(header["__metadata__"][METADATA])
        before = said.get(BEFORE)
        return Origin(
            **{name: _checked(said[name], kind) for name, kind in _KINDS.items()},
            pretrained_on=None if before is None else _checked(before, str),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


BEFORE = "pretrained_on"  # the only field that a header may leave out
_KINDS: dict[str, type] = {
    name: int if name in ("step", "epoch") else str for name in Origin.__dataclass_fields__ if name != BEFORE
}


def _checked(value: object, kind: type) -> Any:
    # Not isinstance: a bool is an int in Python, and True is no step.
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    if isinstance(value, str) and not (0 < len(value) <= MAX_TEXT and value.isprintable()):
        raise ValueError("a name that cannot be shown")
    if isinstance(value, int) and not 0 <= value < 1 << 62:
        raise ValueError(f"{value} counts nothing")
    return value
