"""Foreign weights files: opened in a sandbox, recognised by names and shapes, used as safetensors.

load_checkpoint(path)              the network, ready to use, and how it was found
inspect_checkpoint(path)           only how it was found
precheck(path)                     what is wrong without opening it
ingest(path, canonical_path)       the canonical file, for whoever keeps it
read_canonical(canonical_path)     the network of a canonical file

    sandbox.py       the child process that opens a foreign file
    child.py         what runs in it
    formats.py       which format a file is of, by its bytes
    archives.py      zip archives of torch.save
    pickles.py       what a pickle asks for; nothing is run
    placeholders.py  what stands for the objects in it
    arrays.py        NumPy arrays out of it
    read.py          tensors out of a file
    folders.py       folders that people pass for a checkpoint
    names.py         names of tensors
    match.py         which backbones are in a file
    networks.py      which of several networks is used
    trainers.py      what trainers write beside the weights
    origin.py        what our own exports say about themselves
    canonical.py     the one form in which weights go on
    report.py        what was found, for people
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vcp_core.catalog.errors import StorageError
from vcp_core.checkpoints.report import CheckpointReport
from vcp_core.checkpoints.sandbox import ingest, precheck

if TYPE_CHECKING:
    from vcp_core.backbones import Backbone

__all__ = [
    "CheckpointReport",
    "ingest",
    "inspect_checkpoint",
    "load_checkpoint",
    "precheck",
    "read_canonical",
]


def load_checkpoint(
    path: str | Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    input_spec: str | None = None,
) -> tuple[Backbone, CheckpointReport]:
    """The network that a weights file holds, in eval mode on the CPU, and how it was found.

    The file is opened only in a child process, which takes a few seconds; see sandbox.py.

    Args:
        path: .pt, .pth, .tar, .ckpt or .safetensors; what counts are its bytes.
        backbone: Its architecture; found by itself if left out.
        prefix: Which of several networks in the file ("teacher."); if left out the one trained by
            gradients, not an averaged copy of it. `CheckpointReport.others` lists those there are.
        input_spec: What it takes in where that is not its family's own: "frames=8,stride=4,crop=224,..."
            (`vcp_core.catalog.inputs`).

    Raises:
        UnknownName: If there is no such backbone.
        InputError: If the declared input makes no sense, or the network cannot take it.
        CheckpointError: If the file is not a whole, safe, finite checkpoint of a known backbone.
        StorageError: If there is no room for the canonical copy, which goes when this returns.
    """
    with _ingested(path, backbone, prefix) as (canonical_path, report):
        return read_canonical(canonical_path, input_spec=input_spec), report


def inspect_checkpoint(
    path: str | Path, *, backbone: str | None = None, prefix: str | None = None
) -> CheckpointReport:
    """How the backbone was found in a weights file; fails as `load_checkpoint` does, but needs no torch."""
    with _ingested(path, backbone, prefix) as (_, report):
        return report


def read_canonical(path: Path, *, input_spec: str | None = None) -> Backbone:
    """The network of a file that `ingest` wrote, in eval mode on the CPU.

    Raises:
        DamagedCheckpoint: If the file is not whole.
        InputError: If the network cannot take the declared input.
    """
    from vcp_core.checkpoints.canonical import read_canonical as read

    return read(path, input_spec=input_spec)


@contextmanager
def _ingested(
    path: str | Path, backbone: str | None, prefix: str | None
) -> Iterator[tuple[Path, CheckpointReport]]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="vcpbench-")
    except OSError as error:
        raise StorageError(f"No temporary folder ({error.strerror}). Set TMPDIR to one with room.") from error
    with folder:
        canonical_path = Path(folder.name) / "canonical.safetensors"
        yield canonical_path, ingest(path, canonical_path, backbone=backbone, prefix=prefix)
