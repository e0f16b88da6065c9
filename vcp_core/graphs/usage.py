"""What each weight of a program is for, by the operations that read it, and random weights by use.

A weight's name says nothing certain: only its uses tell a convolution's kernel from a position embedding.
Values that are computed from weights alone are followed: a transposed weight is a weight, and so is a table
of relative positions that was indexed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vcp_core.graphs.calibration import BATCH_NORMS, OTHER_NORMS
from vcp_core.graphs.program import Program, references

Use = Literal[
    "kernel",
    "bias",
    "scale",
    "shift",
    "running mean",
    "running variance",
    "slope",
    "layer scale",
    "token",
    "kept",
]
TOKEN_STD = 0.02  # of position embeddings and class tokens; arXiv:2010.11929 and its successors
KEPT: frozenset[Use] = frozenset({"layer scale", "kept"})  # random weights take these from the file
SLOPE = 0.25  # of PReLU; torch's default
MAX_SOURCES = 16  # weights that one value is followed to; a standardised kernel has one

_LAYERS = (
    *(f"aten.conv{rank}d.{form}" for rank in (1, 2, 3) for form in ("default", "padding")),
    "aten.convolution.default",
    "aten.conv_transpose2d.input",
    "aten.conv_transpose3d.input",
    "aten.linear.default",
)
_OF_A_LAYER: Mapping[str, Use] = {"weight": "kernel", "bias": "bias"}
_OF_A_NORM: Mapping[str, Use] = {
    "weight": "scale",
    "bias": "shift",
    "running_mean": "running mean",
    "running_var": "running variance",
}
_BY_ARGUMENT: Mapping[str, Mapping[str, Use]] = {
    **{name: _OF_A_LAYER for name in _LAYERS},
    **{name: _OF_A_NORM for name in BATCH_NORMS | OTHER_NORMS},
    "aten.addmm.default": {"mat2": "kernel", "self": "bias"},
    "aten.baddbmm.default": {"batch2": "kernel", "self": "bias"},
    "aten.mm.default": {"mat2": "kernel", "self": "kernel"},
    "aten.bmm.default": {"mat2": "kernel", "self": "kernel"},
    "aten.matmul.default": {"other": "kernel", "self": "kernel"},
    "aten.einsum.default": {"tensors": "kernel"},
    "aten.prelu.default": {"weight": "slope"},
    "aten._prelu_kernel.default": {"weight": "slope"},
}
_TRANSPOSES = frozenset({"aten.t.default", "aten.transpose.int", "aten.permute.default"})
_PRODUCTS = frozenset({"aten.mul.Tensor", "aten.mul_.Tensor"})


@dataclass(frozen=True, kw_only=True)
class Used:
    """How one weight is used.

    Attributes:
        use: What it is for.
        operation: The first operation that says so; "" if none does.
        fan_in: Of a kernel: how many numbers each of its outputs adds up. 0 for others.
    """

    use: Use
    operation: str = ""
    fan_in: int = 0


@dataclass(frozen=True)
class _Source:
    """A weight inside a value that is computed from weights alone."""

    weight: int
    transposed: bool


def uses(program: Program) -> dict[str, Used]:
    """Find what each weight of a checked program is for, by its name.

    Buffers and constants are kept, except running statistics: training does not change tables and masks.

    >>> from vcp_core.graphs.program import Node, Ref, Weight
    >>> program = Program(
    ...     weights=(Weight(name="cls", kind="parameter", dtype="float32", shape=(1, 3, 1, 1, 1)),),
    ...     clip_shape=(3, 16, 112, 112),
    ...     nodes=(Node(operation="aten.add.Tensor", arguments=(("self", Ref(1)), ("other", Ref(0)))),),
    ...     outputs=(2,),
    ... )
    >>> uses(program)
    {'cls': Used(use='token', operation='aten.add.Tensor', fan_in=0)}
    """
    static: dict[int, frozenset[_Source]] = {
        number: frozenset({_Source(number, transposed=False)}) for number in range(len(program.weights))
    }
    found: dict[int, Used] = {}
    for node, results in program.steps():
        read = [(name, value) for name, argument in node.arguments for value in references(argument)]
        if read and all(value in static for _, value in read):
            turned = node.operation in _TRANSPOSES
            every = (
                _Source(one.weight, transposed=one.transposed != turned)
                for _, value in read
                for one in static[value]
            )
            sources = frozenset(itertools.islice(every, MAX_SOURCES))
            static |= dict.fromkeys(results, sources)
            continue
        for name, value in read:
            for source in static.get(value, ()):
                used = _used(program, source, node.operation, name)
                known = found.get(source.weight)
                if known is None or (known.use in ("token", "layer scale") and used.use != "token"):
                    found[source.weight] = used
    return {
        weight.name: _as_kind_allows(weight.kind, found.get(number, Used(use="kept")))
        for number, weight in enumerate(program.weights)
    }


def _used(program: Program, source: _Source, operation: str, argument: str) -> Used:
    weight = program.weights[source.weight]
    use = _BY_ARGUMENT.get(operation, {}).get(argument)
    if not weight.dtype.startswith(("float", "bfloat")):
        return Used(use="kept", operation=operation)
    if use == "kernel" and len(weight.shape) >= 2:
        return Used(
            use="kernel", operation=operation, fan_in=_fan_in(weight.shape, source, operation, argument)
        )
    if use is not None and use != "kernel":
        return Used(use=use, operation=operation)
    wide = sum(size > 1 for size in weight.shape)
    if operation in _PRODUCTS and wide <= 1:
        return Used(use="layer scale", operation=operation)
    return Used(use="token", operation=operation)


def _fan_in(shape: tuple[int, ...], source: _Source, operation: str, argument: str) -> int:
    """Count the numbers that each output adds up. For layers, torch takes them from `weight[0]`."""
    if "conv" in operation or "linear" in operation:
        return math.prod(shape[1:])
    # x @ W adds up along the rows of W, and W @ x along its columns. A transposed weight swaps the two.
    rows = (argument != "self") != source.transposed
    return shape[-2] if rows else shape[-1]


def _as_kind_allows(kind: str, used: Used) -> Used:
    if kind == "parameter" or used.use in ("running mean", "running variance"):
        return used
    return Used(use="kept", operation=used.operation)


def redrawn(program: Program, weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Draw random weights by use, for the random-weights control (PROTOCOL 4).

    A kernel gets torch's default initialisation, a bias 0, a norm the scale 1 and the shift 0, running
    statistics 0 and 1, and what is neither N(0, 0.02). Layer scales, buffers and constants are kept.

    Args:
        program: The program.
        weights: Its weights, in its order. They are not changed.
        generator: A generator on the CPU. Weights are drawn in the program's order, which is that of
            `Module.named_parameters`.

    Returns:
        New weights, in the same order and of the same types.
    """
    found = uses(program)
    return [
        _drawn(tensor, found[weight.name], generator)
        for weight, tensor in zip(program.weights, weights, strict=True)
    ]


def _drawn(tensor: Tensor, used: Used, generator: torch.Generator) -> Tensor:
    drawn = torch.empty(tensor.shape, dtype=torch.float32)
    if used.use == "kernel":
        # torch draws kernels from +- sqrt(6 / ((1 + 5) * fan_in)): `kaiming_uniform_` with a = sqrt(5).
        gain = torch.nn.init.calculate_gain("leaky_relu", math.sqrt(5))
        bound = math.sqrt(3.0) * (gain / math.sqrt(max(used.fan_in, 1)))
        drawn.uniform_(-bound, bound, generator=generator)
    elif used.use == "token":
        drawn.normal_(0, TOKEN_STD, generator=generator)
    elif used.use in _FIXED:
        drawn.fill_(_FIXED[used.use])
    else:
        return tensor.clone()
    return drawn.to(tensor.dtype)


_FIXED: Mapping[str, float] = {
    "bias": 0.0,
    "scale": 1.0,
    "shift": 0.0,
    "running mean": 0.0,
    "running variance": 1.0,
    "slope": SLOPE,
}
