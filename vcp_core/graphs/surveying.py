"""Run a program on torch's meta device before any real run: shapes, work and memory, without numbers.

Nothing is allocated there, so a program that asks for terabytes is refused in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vcp_core.catalog.errors import GraphError, GraphTooLarge, Private, VcpbenchError
from vcp_core.catalog.names import printable
from vcp_core.graphs.costs import multiply_adds
from vcp_core.graphs.operations import DTYPES
from vcp_core.graphs.program import Program
from vcp_core.graphs.running import Step, running, steps_of

# Of one clip. s3d takes 0.1 GiB for clips of 32 x 224 x 224, and no layer of a video network has 8.
MAX_BYTES = 8 << 30
MAX_MULTIPLY_ADDS = 4 * 10**12  # of one clip; slow_r50 takes 0.05e12, and a ViT-H of 16 frames 1.2e12
MAX_WRITTEN = 1 << 40  # bytes of one clip's results together; r3d_18 writes 0.3e9
BATCHES = (2, 3)  # clips; a shape that depends on the batch differs between the two
MAP_RANK, VECTOR_RANK = 5, 2  # dimensions of (B, D, T, H, W) and of (B, D)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a program does to one clip.

    Attributes:
        output_shapes: The shape of each output without the batch: (D, T, H, W), or (D,).
        multiply_adds: Multiply-adds of layers, products and poolings.
        peak_bytes: The most bytes that its results take at one time. Weights, and what an operation needs
            while it runs, are not counted.
        written_bytes: Bytes of all its results together.
    """

    output_shapes: tuple[tuple[int, ...], ...]
    multiply_adds: int
    peak_bytes: int
    written_bytes: int


def survey(program: Program) -> Survey:
    """Find a checked program's shapes, work and memory, and refuse what is above the ceilings.

    Raises:
        GraphTooLarge: If a clip needs more memory or work than is allowed.
        GraphError: If an operation cannot run on its arguments, if a shape depends on the numbers in a
            tensor, or if an output is neither a map (B, D, T, H, W) nor a vector (B, D).

    >>> from vcp_core.graphs.program import Node, Ref
    >>> mean = Node(operation="aten.mean.dim", arguments=(("self", Ref(0)), ("dim", (2, 3, 4))))
    >>> program = Program(weights=(), clip_shape=(3, 16, 112, 112), nodes=(mean,), outputs=(1,))
    >>> survey(program).output_shapes
    ((3,),)
    """
    steps = steps_of(program)
    weights = [
        torch.empty(weight.shape, dtype=DTYPES[weight.dtype], device="meta") for weight in program.weights
    ]
    found: list[list[Tensor]] = []
    for batch in BATCHES:
        tally = _Tally(batch)
        found.append(_outputs(program, steps, weights, batch, tally))
    shapes = [tuple(output.shape) for output in found[-1]]
    for first, shape in zip(found[0], shapes, strict=True):
        _expect_stage(tuple(first.shape), shape)
    return Survey(
        output_shapes=tuple(shape[1:] for shape in shapes),
        multiply_adds=tally.multiply_adds // batch,
        peak_bytes=tally.peak_bytes // batch,
        written_bytes=tally.written_bytes // batch,
    )


def load_meta_kernels() -> None:
    """Import what torch's meta device imports on first use: about 800 modules, which take a second.

    A process that may import nothing behind its walls calls this before it builds them.
    """
    x, weight = torch.empty(2, 4, 4, 4, 4, device="meta"), torch.empty(4, 4, 1, 1, 1, device="meta")
    with torch.inference_mode():
        torch.ops.aten.batch_norm(
            torch.conv3d(x, weight), None, None, x[0, :, 0, 0, 0], x[0, :, 0, 0, 0], False, 0.1, 1e-5, True
        ).relu_().mean(dim=(2, 3)) @ weight[0, :, 0, 0]


class _Tally:
    """Counts work and memory while a program runs."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._live_bytes = 0
        self._owners: dict[int, tuple[int, int]] = {}  # bytes and number of values, by storage
        self._storages: dict[int, int] = {}  # by number of a value
        self.multiply_adds = self.peak_bytes = self.written_bytes = 0

    def add(self, step: Step, named: dict[str, Any], results: Sequence[Any]) -> None:
        """Count a step's work, and the memory of its results.

        Raises:
            GraphTooLarge: If a ceiling is reached.
        """
        self.multiply_adds += multiply_adds(step.node.operation, named, results[0])
        for number, value in zip(step.results, results, strict=True):
            if isinstance(value, Tensor):
                # Also of a view: `expand` takes no memory, and the next operation would.
                self._refuse_above(
                    value.numel() * value.element_size(), MAX_BYTES, "bytes of one result", step
                )
                self._own(number, value)
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        self._refuse_above(self._live_bytes, MAX_BYTES, "bytes at one time", step)
        self._refuse_above(self.written_bytes, MAX_WRITTEN, "bytes of all results", step)
        self._refuse_above(self.multiply_adds, MAX_MULTIPLY_ADDS, "multiply-adds", step)

    def free(self, step: Step) -> None:
        """Count the memory of values that no later step reads."""
        for number in step.dead:
            storage = self._storages.pop(number, None)
            if storage is not None:
                size, owners = self._owners.pop(storage)
                if owners > 1:
                    self._owners[storage] = size, owners - 1
                else:
                    self._live_bytes -= size

    def _own(self, number: int, value: Tensor) -> None:
        storage = value.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        _, owners = self._owners.get(key, (size, 0))
        if not owners:
            self._live_bytes += size
            self.written_bytes += size
        self._owners[key] = size, owners + 1
        self._storages[number] = key

    def _refuse_above(self, value: int, most: int, what: str, step: Step) -> None:
        if value > most * self._batch:
            raise GraphTooLarge(
                f"a clip would need {value // self._batch:,} {what}, and at most {most:,} are allowed. "
                f"Operation {step.at + 1} ({step.node.operation}) reaches the ceiling. Export it with "
                "smaller clips, or a smaller network.",
                operation=step.node.operation,
                what=what,
                value=value // self._batch,
                most=most,
            )


def _outputs(
    program: Program, steps: Sequence[Step], weights: Sequence[Tensor], batch: int, tally: _Tally
) -> list[Tensor]:
    clips_BCTHW = torch.empty((batch, *program.clip_shape), device="meta")
    values: list[Any] = []

    def call(step: Step, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        _refuse_unbounded(step, step.named(arguments, keywords))
        try:
            return step.operation.call(*arguments, **keywords)
        except (VcpbenchError, MemoryError):
            raise
        # Any error: torch's shape functions raise every kind for arguments that do not fit.
        except Exception as error:
            said = printable(str(error).partition("\n")[0])[:200]
            raise GraphError(
                f"operation {step.at + 1} ({step.node.operation}) cannot run on {batch} clips of "
                f"{' x '.join(map(str, program.clip_shape))} (",
                Private(said),
                "). Export it again, and change nothing in the file.",
                reason="cannot_run",
                operation=step.node.operation,
            ) from error

    with torch.inference_mode():
        for step, arguments, keywords, results in running(
            steps, program, weights, clips_BCTHW, values, call=call
        ):
            tally.add(step, step.named(arguments, keywords), results)
            tally.free(step)
    return [values[number] for number in program.outputs]


def _refuse_unbounded(step: Step, named: dict[str, Any]) -> None:
    """Refuse what even a run without numbers must not do: give very many results, or choose by a mask."""
    if step.operation.num_results is None and _num_pieces(step, named) != len(step.results):
        raise GraphError(
            f"operation {step.at + 1} ({step.node.operation}) cuts a tensor into another number of pieces "
            "than the file says. A loop over clips, or over a free number, is not run.",
            reason="results",
        )
    if step.node.operation == "aten.index.Tensor" and any(
        index is not None and index.dtype not in (torch.int64, torch.int32) for index in named["indices"]
    ):
        raise GraphError(
            f"operation {step.at + 1} ({step.node.operation}) picks by a mask, so a shape depends on the "
            "numbers in a tensor. Use torch.where, or whole numbers as indices.",
            reason="data_dependent",
            operation=step.node.operation,
        )


def _num_pieces(step: Step, named: dict[str, Any]) -> int:
    dim = named.get("dim", step.operation.parameters["dim"].default)
    source: Tensor = named["self"]
    if not -source.dim() <= dim < source.dim():
        return -1
    size = int(source.shape[dim])
    for name in ("split_size", "split_sizes", "chunks"):
        given = named.get(name)
        if isinstance(given, list):
            return len(given)
        if isinstance(given, int) and given > 0:
            each = max(given if name != "chunks" else math.ceil(size / given), 1)
            return max(math.ceil(size / each), 1)
    return size


def _expect_stage(first: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Check an output's shape for two batches."""
    shown = f"({', '.join(['B', *map(str, shape[1:])])})"
    if len(shape) not in (MAP_RANK, VECTOR_RANK):
        raise GraphError(
            f"an output of it has the shape {shown}. vcpbench takes maps (B, D, T, H, W), which it averages, "
            "or features (B, D). Average its tokens or take its class token in forward(), or reshape tokens "
            "to a map.",
            reason="output_shape",
            shape=list(shape[1:]),
        )
    if (first[0], shape[0]) != BATCHES or first[1:] != shape[1:] or 0 in shape:
        raise GraphError(
            f"an output of it has the shape {first} for {BATCHES[0]} clips and {shape} for {BATCHES[1]}. "
            "Return one feature, or one map, for each clip.",
            reason="output_shape",
            shape=list(shape),
        )
