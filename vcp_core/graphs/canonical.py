"""The canonical file of a graph: one safetensors file, with the program as JSON in its header.

Weights are named by their numbers. Nothing of the user's file is in it but the names of weights, the
operations and the numbers: no stack traces, no paths, no names of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from vcp_core.catalog.errors import DamagedCheckpoint, Private
from vcp_core.catalog.files import whole
from vcp_core.graphs.checking import check
from vcp_core.graphs.documents import parse
from vcp_core.graphs.operations import DTYPES
from vcp_core.graphs.program import Program
from vcp_core.graphs.reading import GraphContents

KEY = "graph"  # of the header; canonical files of families have the key "backbone"


def write_canonical(path: Path, program: Program, weights: Mapping[str, Tensor]) -> None:
    """Write a graph, whole or not at all. The same graph gives the same bytes.

    Args:
        path: The file.
        program: The program.
        weights: Its weights by name. No two may share memory.

    Raises:
        StorageError: If the disk is full or the folder cannot be written.
    """
    tensors = {
        _key(number): weights[weight.name].contiguous() for number, weight in enumerate(program.weights)
    }
    # One key: safetensors writes several in any order, and the same graph could give other bytes.
    data = safetensors.torch.save(tensors, metadata={KEY: program.to_json()})
    with whole(path) as part:
        part.write_bytes(data)


def is_canonical_graph(path: Path) -> bool:
    """Tell whether a canonical file holds a graph, and not a network of a family.

    Raises:
        DamagedCheckpoint: If the file is not whole.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return KEY in (file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error


def read_canonical(path: Path) -> GraphContents:
    """Read a file that `write_canonical` wrote. The program is checked against the table again.

    Raises:
        DamagedCheckpoint: If the file is not whole, or is no canonical file of a graph.
        GraphError: If an operation has left the table since the file was written.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            said = (file.metadata() or {}).get(KEY, "null")
            program = Program.from_dict(parse(said.encode(), "the graph"))
            weights = {
                weight.name: file.get_tensor(_key(number)) for number, weight in enumerate(program.weights)
            }
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error
    for weight in program.weights:
        tensor = weights[weight.name]
        if tuple(tensor.shape) != weight.shape or tensor.dtype != DTYPES.get(weight.dtype):
            raise DamagedCheckpoint("not whole: a weight has another shape. Ingest it again.", path=path)
    check(program)
    return GraphContents(program=program, weights=weights)


def _key(number: int) -> str:
    return f"weight_{number:05}"


def _damaged(path: Path, error: Exception) -> DamagedCheckpoint:
    return DamagedCheckpoint("not whole (", Private(str(error)), "). Ingest the checkpoint again.", path=path)
