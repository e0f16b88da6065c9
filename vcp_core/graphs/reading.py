"""From a foreign .pt2 file to a checked program and its weights. No code of the file runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from vcp_core.graphs.archive import Archive
from vcp_core.graphs.checking import check
from vcp_core.graphs.declared import Declared, read_declared
from vcp_core.graphs.exported import read_exported
from vcp_core.graphs.payloads import expect_finite, tensors_of
from vcp_core.graphs.program import Program


@dataclass(frozen=True, kw_only=True)
class GraphContents:
    """What a file holds.

    Attributes:
        program: The network without its numbers. Each of its operations is in the table.
        weights: The weights by name, contiguous on the CPU, in the order of `program.weights`.
        declared: What the file says beside the program. A canonical file says nothing.
    """

    program: Program
    weights: Mapping[str, Tensor]
    declared: Declared = field(default_factory=Declared)


def read_graph(path: Path) -> GraphContents:
    """Read an archive of torch.export.save.

    Only this one path is opened. Call `survey` before the program runs: it finds shapes, work and memory.

    Raises:
        NotACheckpoint: If the file is another kind of zip archive.
        GraphError: If the program cannot be evaluated as it was exported; its subclasses say more.
        UnsafeCheckpoint: If a weight is a pickle, or its path leads elsewhere.
        DamagedCheckpoint: If the archive is cut off, damaged, or contradicts itself.
        NonFiniteWeights: If a weight holds NaN.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt2") as file:
    ...     try:
    ...         read_graph(Path(file.name))
    ...     except Exception as error:
    ...         print(str(error).partition(". ")[0])
    not a zip archive as torch.export.save writes it: it is cut off
    """
    with path.open("rb") as file:
        archive = Archive(file)
        program, payloads = read_exported(archive)
        declared = read_declared(archive)
        check(program)
        weights = tensors_of(payloads, archive)
    for weight in program.weights:
        expect_finite(weight.name, weight.kind, weights[weight.name])
    return GraphContents(program=program, weights=weights, declared=declared)
