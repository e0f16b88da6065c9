"""Fold a program's batch norms into the convolutions before them, so that forward passes take less time.

`vcp_core.backbones.folding` does this to networks of modules, and says why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vcp_core.graphs.calibration import BATCH_NORMS, CONVOLUTIONS
from vcp_core.graphs.program import Argument, Node, Program, Ref, Weight, read_by


def folded_program(program: Program, weights: Sequence[Tensor]) -> tuple[Program, list[Tensor]]:
    """Fold each batch norm that alone reads the output of a convolution with weights of its own.

    Args:
        program: The program.
        weights: Its weights, in its order. They are not changed.

    Returns:
        The program without these batch norms, and its weights. The program itself if there are none.
    """
    pairs = _pairs(program)
    if not pairs:
        return program, list(weights)
    return _Folding(program, weights, pairs).done()


def _pairs(program: Program) -> dict[int, int]:
    """The positions of the batch norms that can be folded, with those of their convolutions."""
    reads = Counter(value for node in program.nodes for value in read_by(node))
    reads.update(program.outputs)
    maker = {results[0]: at for at, (_, results) in enumerate(program.steps())}
    found = {}
    for at, (node, results) in enumerate(program.steps()):
        given = dict(node.arguments)
        source = given.get("input")
        if node.operation not in BATCH_NORMS or not isinstance(source, Ref) or reads[source.value] != 1:
            continue
        conv = program.nodes[maker[source.value]] if source.value in maker else None
        if conv is None or conv.operation not in CONVOLUTIONS or any(reads[one] for one in results[1:]):
            continue
        parts = _parts(conv)
        norm = [given.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
        if parts is None or not all(_is_own(one, program) for one in (*parts, *norm)):
            continue
        if reads[parts[0].value] == 1:  # a kernel that runs twice is folded by neither
            found[at] = maker[source.value]
    return found


def _parts(conv: Node) -> tuple[Any, Argument] | None:
    """The kernel and the bias of a convolution that keeps its output channels first in its kernel."""
    given = dict(conv.arguments)
    if given.get("transposed") or not isinstance(given["weight"], Ref):
        return None
    return given["weight"], given.get("bias")


def _is_own(argument: Argument, program: Program) -> bool:
    return argument is None or (isinstance(argument, Ref) and argument.value < program.clips)


class _Folding:
    """Builds the folded program: the kept nodes, with new numbers for their values."""

    def __init__(self, program: Program, weights: Sequence[Tensor], pairs: dict[int, int]) -> None:
        self._program, self._weights, self._pairs = program, weights, pairs

    def done(self) -> tuple[Program, list[Tensor]]:
        nodes = list(self._program.nodes)
        folded = {}
        for norm_at, conv_at in self._pairs.items():
            folded[conv_at] = self._fold(nodes[conv_at], nodes[norm_at])
        read = {
            value
            for at, node in enumerate(nodes)
            if at not in self._pairs and at not in folded
            for value in read_by(node)
        }
        kept = [number for number in range(self._program.clips) if number in read]
        return self._renumbered(nodes, folded, kept)

    def _fold(self, conv: Node, norm: Node) -> dict[str, Tensor]:
        """The kernel and bias that do a convolution and a batch norm at once, computed in float64."""
        conv_given, norm_given = dict(conv.arguments), dict(norm.arguments)
        kernel = self._tensor(conv_given["weight"])
        assert kernel is not None
        mean_D, var_D = self._tensor(norm_given["running_mean"]), self._tensor(norm_given["running_var"])
        assert mean_D is not None
        assert var_D is not None
        scale_D, shift_D = self._tensor(norm_given.get("weight")), self._tensor(norm_given.get("bias"))
        bias_D = self._tensor(conv_given.get("bias"))
        eps = norm_given["eps"]
        assert isinstance(eps, int | float)
        factor_D = torch.rsqrt(var_D.double() + eps) * (1.0 if scale_D is None else scale_D.double())
        moved_D = ((0.0 if bias_D is None else bias_D.double()) - mean_D.double()) * factor_D
        if shift_D is not None:
            moved_D = moved_D + shift_D.double()
        widened = factor_D.view(-1, *[1] * (kernel.dim() - 1))
        return {
            "weight": (kernel.double() * widened).to(kernel.dtype),
            "bias": moved_D.to(kernel.dtype),
        }

    def _tensor(self, argument: Argument) -> Tensor | None:
        return self._weights[argument.value] if isinstance(argument, Ref) else None

    def _renumbered(
        self, nodes: list[Node], folded: dict[int, dict[str, Tensor]], kept: list[int]
    ) -> tuple[Program, list[Tensor]]:
        made = [(self._program.weights[number], self._weights[number]) for number in kept]
        moved = {number: position for position, number in enumerate(kept)}
        parts: dict[int, dict[str, Ref]] = {}
        for number, (at, tensors) in enumerate(folded.items()):
            parts[at] = {}
            for name, tensor in tensors.items():
                parts[at][name] = Ref(len(made))
                weight = Weight(
                    name=f"folded.{number}.{name}",
                    kind="parameter",
                    dtype=str(tensor.dtype).removeprefix("torch."),
                    shape=tuple(tensor.shape),
                )
                made.append((weight, tensor))
        moved[self._program.clips] = len(made)
        following = len(made) + 1
        found: list[Node] = []
        for at, (node, results) in enumerate(self._program.steps()):
            if at in self._pairs:  # the convolution gives the batch norm's result
                source = dict(node.arguments)["input"]
                assert isinstance(source, Ref)
                moved[results[0]] = moved[source.value]
                continue
            own = parts.get(at, {})
            given = {name: own.get(name) or _moved(value, moved) for name, value in node.arguments} | own
            found.append(dataclasses.replace(node, arguments=tuple(given.items())))
            for value in results:
                moved[value], following = following, following + 1
        program = Program(
            weights=tuple(weight for weight, _ in made),
            clip_shape=self._program.clip_shape,
            nodes=tuple(found),
            outputs=tuple(moved[value] for value in self._program.outputs),
        )
        return program, [tensor for _, tensor in made]


def _moved(argument: Argument, moved: dict[int, int]) -> Argument:
    if isinstance(argument, Ref):
        return Ref(moved[argument.value])
    if isinstance(argument, tuple):
        return tuple(_moved(one, moved) for one in argument)
    return argument
