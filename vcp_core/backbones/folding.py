"""Folds batch normalisations into the convolutions before them, so that forward passes take less time.

In eval mode a batch normalisation multiplies each channel by a number and adds another one. A convolution can
do both: its weights are multiplied, and its bias moved. The features are the same but for the last digits
(docs/decisions/2026-11-29-folding.md).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vcp_core.backbones.base import Backbone


def folded(network: Backbone) -> Backbone:
    """Return a copy in which convolutions do the work of the batch normalisations behind them.

    A normalisation stays if something else reads the convolution's output, too, or if one of the two runs
    more than once. A network without batch normalisations is returned as it is, so folding it again costs
    nothing.

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
    if not any(map(_is_foldable, network.modules())):
        return network
    network = copy.deepcopy(network)
    pairs = _pairs(_Stages(network))
    for conv, norm in pairs:
        _fold(conv, norm)
    done = {norm for _, norm in pairs}
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child in done:
                setattr(parent, name, nn.Identity())
    return network


class _Stages(nn.Module):
    """A network whose `forward` gives the maps of all stages: each of them may be read."""

    def __init__(self, network: Backbone) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips_BCTHW: Tensor) -> dict[str, Tensor]:
        return self.network.stages(clips_BCTHW)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which tensors each operation reads, and the first one that it makes. The tensors are kept."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noted: list[tuple[list[Tensor], object]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        read = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        self.noted.append((read, made[0] if isinstance(made, tuple) else made))
        return made


def _pairs(network: _Stages) -> list[tuple[nn.Conv3d, nn.BatchNorm3d]]:
    """Find the convolutions whose output is read by one normalisation, and by nothing else."""
    tensors = chain(network.named_parameters(), network.named_buffers())
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
    clips_BCTHW = torch.empty((1, *network.network.spec.clip_shape), device="meta")
    with torch.no_grad(), _Operations() as operations:  # shapes go through the network, and no numbers
        functional_call(network, state, (clips_BCTHW,))
    reads = Counter(id(tensor) for read, _ in operations.noted for tensor in read)
    weights = {id(state[name]): name.rpartition(".")[0] for name in state if name.endswith(".weight")}
    made_by: dict[int, nn.Conv3d] = {}  # by the convolution's output
    found = []
    for read, made in operations.noted:
        for name in (weights[id(tensor)] for tensor in read if id(tensor) in weights):
            module = network.get_submodule(name)
            if reads[id(state[f"{name}.weight"])] > 1:
                continue
            if isinstance(module, nn.Conv3d):
                made_by[id(made)] = module
            elif _is_foldable(module) and reads[id(read[0])] == 1 and id(read[0]) in made_by:
                found.append((made_by[id(read[0])], cast(nn.BatchNorm3d, module)))
    return found


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
