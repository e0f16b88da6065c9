"""Folds batch normalisations into the convolutions before them, so that forward passes take less time.

In eval mode a batch normalisation multiplies each channel by a number and adds another one. A convolution can
do both: its weights are multiplied, and its bias moved. The features are the same but for the last digits
(docs/decisions/2026-11-29-folding.md).
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Protocol as Interface
from typing import runtime_checkable

import torch
from torch import nn
from torch.autograd.graph import Node

from vcp_core.backbones.base import Backbone


@runtime_checkable
class FoldsItself(Interface):
    """A network that is no tree of modules, such as a graph."""

    def folded(self) -> Backbone:
        """Give the same network in the faster form; itself if there is nothing to fold."""


SMALL_PIXELS = 64  # of a side: the operations of a forward pass are the same for small clips


def folded(network: Backbone) -> Backbone:
    """Return a copy in which convolutions do the work of the batch normalisations behind them.

    A normalisation stays if something else reads the convolution's output, too, or if one of the two runs
    more than once. A network in which nothing can be folded is returned as it is. A graph folds itself.

    Args:
        network: A network in eval mode. It is not changed.

    >>> from vcp_core.backbones import build
    >>> network = build("r3d_tiny")
    >>> fewer = folded(network)
    >>> sum(isinstance(one, nn.BatchNorm3d) for one in fewer.modules())
    0
    >>> clips_BCTHW = torch.rand((1, 3, 16, 56, 56))
    >>> with torch.inference_mode():
    ...     torch.allclose(fewer(clips_BCTHW), network(clips_BCTHW), rtol=1e-5)
    True
    """
    if isinstance(network, FoldsItself):
        return network.folded()
    if not any(map(_is_foldable, network.modules())):
        return network
    original, network = network, copy.deepcopy(network)
    pairs = _pairs(network)
    if not pairs:
        return original
    for conv, norm in pairs:
        _fold(conv, norm)
    done = {norm for _, norm in pairs}
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child in done:
                setattr(parent, name, nn.Identity())
    return network


def _pairs(network: Backbone) -> list[tuple[nn.Conv3d, nn.BatchNorm3d]]:
    """Find the convolutions whose output is read by one normalisation, and by nothing else."""
    by_weight = {
        id(module.weight): module for module in network.modules() if _is_conv(module) or _is_foldable(module)
    }
    reads: Counter[Node] = Counter()
    modules: dict[Node, nn.Module] = {}
    nodes = _graph(network)
    for node in nodes:
        inputs = [one for one, _ in node.next_functions if one is not None]
        reads.update(inputs)
        for one in inputs:
            module = by_weight.get(id(getattr(one, "variable", None)))
            if module is not None:
                modules[node] = module
    runs = Counter(modules.values())
    return [
        (conv, norm)
        for node, norm in modules.items()
        if isinstance(norm, nn.BatchNorm3d) and (source := node.next_functions[0][0]) is not None
        if isinstance(conv := modules.get(source), nn.Conv3d)
        if reads[source] == runs[conv] == runs[norm] == 1
    ]


def _graph(network: Backbone) -> list[Node]:
    """List the operations of a forward pass: the graph that torch keeps for gradients."""
    channels, frames, *size = network.spec.clip_shape
    shape = (1, channels, frames, *(min(pixels, SMALL_PIXELS) for pixels in size))
    clips_BCTHW = torch.zeros(shape, device=next(network.parameters()).device)
    for parameter in network.parameters():
        parameter.requires_grad_()
    with torch.inference_mode(mode=False), torch.enable_grad():
        ends = [features_BD.grad_fn for features_BD in network.stages(clips_BCTHW).values()]
    found: dict[Node, None] = {}
    waiting = [node for node in ends if node is not None]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting += [one for one, _ in node.next_functions if one is not None]
    return list(found)


def _is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv3d)


def _is_foldable(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm3d) and module.affine and module.track_running_stats


def _fold(conv: nn.Conv3d, norm: nn.BatchNorm3d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        # In float64: a rounding here would be in every feature.
        factor_D = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias_D = 0.0 if conv.bias is None else conv.bias.double()
        moved_D = (bias_D - norm.running_mean.double()) * factor_D + norm.bias.double()
        weight = conv.weight.double() * factor_D.view(-1, 1, 1, 1, 1)
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(moved_D.to(conv.weight.dtype), requires_grad=False)
