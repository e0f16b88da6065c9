"""Calibrate a random network: statistics of each batch instead of those in the file, and their averages.

A random network without this would be too easy to beat, because its activations vanish or explode after a
few layers (PROTOCOL 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vcp_core.catalog.graphs import Calibration as KindOfCalibration
from vcp_core.graphs.program import Node, Program, Ref
from vcp_core.graphs.running import Step

EPS = 1e-5  # added to a variance; torch's default for batch norm
BATCH_NORMS = frozenset({"aten.batch_norm.default", "aten._native_batch_norm_legit_no_training.default"})
OTHER_NORMS = frozenset(
    f"aten.{name}.default"
    for name in (
        "layer_norm",
        "native_layer_norm",
        "group_norm",
        "native_group_norm",
        "instance_norm",
        "rms_norm",
    )
)
CONVOLUTIONS = frozenset(
    {
        *(f"aten.conv{rank}d.{form}" for rank in (1, 2, 3) for form in ("default", "padding")),
        "aten.convolution.default",
    }
)


def calibration_of(program: Program) -> KindOfCalibration:
    """What calibration standardises: batch norms, else convolutions if there is no normalisation at all."""
    found = {node.operation for node in program.nodes}
    if not found.isdisjoint(BATCH_NORMS):
        return "batch norms"
    if is_without_norms(program) and any(map(_has_bias, program.nodes)):
        return "convolutions"
    return "nothing"


def _has_bias(node: Node) -> bool:
    return node.operation in CONVOLUTIONS and isinstance(dict(node.arguments).get("bias"), Ref)


def is_without_norms(program: Program) -> bool:
    """Tell whether a program has no normalisation: it never had one, or its batch norms were folded."""
    return not any(node.operation in BATCH_NORMS | OTHER_NORMS for node in program.nodes)


@dataclass
class _Average:
    """The plain average over batches of a mean and an unbiased variance per channel.

    Attributes:
        mean_D: The average of the means.
        var_D: The average of the variances.
        batches: How many batches there were.
    """

    mean_D: Tensor
    var_D: Tensor
    batches: int = 0

    def normalised(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        """Normalise by the batch's own statistics, and average them into these, as a BatchNorm does."""
        self.batches += 1
        found: Tensor = torch.ops.aten.batch_norm(
            x, weight, bias, self.mean_D, self.var_D, True, 1.0 / self.batches, eps, True
        )
        return found


class Calibration:
    """Stands in for a program's normalisations while batches of clips pass.

    Args:
        program: The program.
        weights: Its weights. `finish` changes them in place.
    """

    def __init__(self, program: Program, weights: Sequence[Tensor]) -> None:
        self._weights = weights
        self._standardise = is_without_norms(program)
        self._averages: dict[Any, _Average] = {}
        self._convolutions: dict[int, Step] = {}

    def call(self, step: Step, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Run one operation, normalised by the statistics of this batch if it normalises."""
        if step.node.operation in BATCH_NORMS:
            return self._batch_norm(step, step.named(arguments, keywords))
        result = step.operation.call(*arguments, **keywords)
        if self._standardise and step.node.operation in CONVOLUTIONS:
            return self._standardised(step, result)
        return result

    def _batch_norm(self, step: Step, named: dict[str, Any]) -> Any:
        mean_D, var_D = named["running_mean"], named["running_var"]
        given = dict(step.node.arguments)
        # One batch norm that runs twice has one average, as in a module.
        key = (given["running_mean"], given["running_var"])
        average = self._averages.setdefault(key, _Average(torch.zeros_like(mean_D), torch.ones_like(var_D)))
        result = average.normalised(named["input"], named.get("weight"), named.get("bias"), named["eps"])
        return (result, None, None) if len(step.results) > 1 else result

    def _standardised(self, step: Step, result: Tensor) -> Tensor:
        given = dict(step.node.arguments)
        weight, bias = given["weight"], given.get("bias")
        own = all(
            one is None or (isinstance(one, Ref) and one.value < len(self._weights)) for one in (weight, bias)
        )
        if not own or not isinstance(bias, Ref):  # without a bias there is nowhere to keep the mean
            return result
        self._convolutions[step.at] = step
        channels = result.shape[1]
        average = self._averages.setdefault(
            (weight, bias), _Average(result.new_zeros(channels), result.new_ones(channels))
        )
        return average.normalised(result, None, None, EPS)

    def finish(self) -> None:
        """Write the averages into the weights."""
        for (first, second), average in self._averages.items():
            if not average.batches:
                continue
            if not self._standardise:
                self._weights[first.value].copy_(average.mean_D)
                self._weights[second.value].copy_(average.var_D)
                continue
            weight, bias = self._weights[first.value], self._weights[second.value]
            scale_D = torch.rsqrt(average.var_D + EPS)
            weight.mul_(scale_D.view(-1, *[1] * (weight.dim() - 1)))
            bias.sub_(average.mean_D).mul_(scale_D)
