"""What an exported checkpoint says about itself: its run, step and training data; no torch.

A claim of whoever sent the file, read from a bounded header and checked for its types, and nothing more: to
name a point of a learning curve, never to decide anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METADATA = "vcpbench"  # key of a safetensors header, whose value is JSON
MAX_HEADER_BYTES = 1_000_000  # ours has 8 kB
MAX_TEXT = 200  # characters


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a checkpoint comes from.

    Attributes:
        run: Name of the run.
        step: Steps of the optimizer before it.
        epoch: Epochs before it.
        task: "pretrain" or "finetune".
        backbone: A name of the catalog.
        dataset: Name of the training data.
        dataset_split: Which of its splits.
        dataset_fingerprint: By which a dataset's videos are known.
        pretrained_on: What it had been trained on before, as that was declared; None where nothing was.
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
    """The origin that a file claims; None where it claims none, or one that makes no sense."""
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


BEFORE = "pretrained_on"  # the one that may be missing
_KINDS: dict[str, type] = {
    name: int if name in ("step", "epoch") else str for name in Origin.__dataclass_fields__ if name != BEFORE
}


def _checked(value: object, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    if isinstance(value, str) and not (0 < len(value) <= MAX_TEXT and value.isprintable()):
        raise ValueError("a name that cannot be shown")
    if isinstance(value, int) and not 0 <= value < 1 << 62:
        raise ValueError(f"{value} counts nothing")
    return value
