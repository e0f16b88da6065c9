"""The class that every backbone extends: it takes clips and gives one feature map per stage.

Shapes: B clips, C channels (RGB), T frames, H height, W width, D features.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol as Interface
from typing import runtime_checkable

import torch
from torch import Tensor, nn

from vcp_core.catalog.normalisation import Normalisation
from vcp_core.catalog.specs import BackboneSpec


@runtime_checkable
class InitialisesItself(Interface):
    """A module that holds its own parameters, such as a position embedding."""

    def initialise_own(self, generator: torch.Generator) -> None:
        """Draw the module's own parameters; its submodules draw theirs."""


@runtime_checkable
class ResetsBuffers(Interface):
    """A module with buffers that are not in the state dict, such as a table of sines."""

    def reset_buffers(self) -> None:
        """Compute these buffers in place from the module's own numbers."""


class Backbone(nn.Module, ABC):
    """A video network without its head.

    Clips of uint8, 0 to 255, are scaled to [0, 1], normalised, and put into the order of channels that the
    network's spec says.
    Floating-point clips must be prepared already: the network takes them unchanged.

    A subclass names its modules as the family's checkpoints name their keys, and registers nothing else. A
    buffer that is not in the state dict is computed by its module's `reset_buffers`.

    Attributes:
        spec: The backbone's entry in the catalog.
        normalisation: Applied to uint8 clips; None leaves them in [0, 1].

    >>> from vcp_core.backbones import build
    >>> clips_BCTHW = torch.zeros(2, 3, 16, 32, 32, dtype=torch.uint8)
    >>> with torch.inference_mode():
    ...     build("r3d_tiny").features(clips_BCTHW).shape
    torch.Size([2, 128])
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.spec = spec
        self.normalisation: Normalisation | None = spec.normalisation

    @abstractmethod
    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """The map after each of `spec.stages`, from prepared clips. `features` pools the last one."""

    def forward(self, clips_BCTHW: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(clips_BCTHW)

    def features(self, clips_BCTHW: Tensor) -> Tensor:
        """The last stage's map averaged over time and space: (B, spec.feature_dim), float32.

        Raises:
            ValueError: If the clips are not (B, 3, T, H, W) of uint8 or floating point.
        """
        return _pool(self.forward_stages(self._prepare(clips_BCTHW))[-1])

    def stages(self, clips_BCTHW: Tensor, *, max_pooled: bool = False) -> dict[str, Tensor]:
        """Every stage's map averaged over time and space: (B, D) float32, D as in `spec.stage_dims`.

        Args:
            clips_BCTHW: As for `features`.
            max_pooled: Whether to add the papers' retrieval feature under `spec.max_pooled_stage`: the last
                stage max-pooled by (1, 2, 2) and flattened, channels first (PROTOCOL 4; 9,216 numbers for the
                VCOP family).

        Raises:
            ValueError: If the clips are not (B, 3, T, H, W) of uint8 or floating point.
        """
        maps = self.forward_stages(self._prepare(clips_BCTHW))
        found = {name: _pool(x_BCTHW) for name, x_BCTHW in zip(self.spec.stages, maps, strict=True)}
        if max_pooled:
            x_BCTHW = nn.functional.max_pool3d(maps[-1].float(), (1, 2, 2))
            found[self.spec.max_pooled_stage] = x_BCTHW.flatten(start_dim=1)
        return found

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight anew by the family's own initialisation, and reset normalisation layers.

        Args:
            generator: A generator on the CPU. The network must be on the CPU, too.

        Raises:
            TypeError: If a module holds parameters or buffers and no rule is known for it.
        """
        # All modules draw from one generator, so their order is part of what a seed means.
        for name, module in self.named_modules():
            if isinstance(module, InitialisesItself):
                module.initialise_own(generator)
            elif isinstance(module, nn.Conv3d):
                self.initialise_conv(module, generator)
            elif isinstance(module, nn.Linear):
                self.initialise_linear(module, generator)
            elif isinstance(module, nn.BatchNorm3d | nn.LayerNorm):
                module.reset_parameters()  # weight 1, bias 0, mean 0, variance 1: nothing random
            elif next(module.parameters(recurse=False), None) is not None or _in_state(module):
                raise TypeError(
                    f"{self.spec.name}: no rule says how to initialise {name} ({type(module)}). Give the "
                    "module a method `initialise_own(generator)`, or add a rule to `Backbone.initialise`."
                )

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Draw one convolution; torch's default unless the family has its own rule."""
        _draw_by_fan_in(conv, generator)

    def initialise_linear(self, linear: nn.Linear, generator: torch.Generator) -> None:
        """Draw one linear layer; torch's default unless the family has its own rule."""
        _draw_by_fan_in(linear, generator)

    @property
    def needs_calibration(self) -> bool:
        """Whether `calibrating` changes anything."""
        return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.modules())

    @contextmanager
    def calibrating(self) -> Iterator[None]:
        """Normalise by the statistics of each batch inside the block, and keep their averages at its end.

        Only the batch norms are in training mode meanwhile. Afterwards the network is in eval mode.
        """
        self.eval()
        norms = [one for one in self.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # in torch this means the plain average over batches
            norm.train()
        yield
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.eval()

    def fill_buffers(self) -> None:
        """Compute every buffer that is not in the state dict, because no checkpoint contains it.

        Raises:
            TypeError: If a module has such a buffer and no method `reset_buffers` that sets all of it.
        """
        for name, module in self.named_modules():
            buffers = [key for key, _ in module.named_buffers(recurse=False)]
            missing = sorted(set(buffers) - _in_state(module)) if buffers else []
            if missing and not (isinstance(module, ResetsBuffers) and _sets_all(module, missing)):
                raise TypeError(
                    f"{self.spec.name}: no method fills {', '.join(missing)} of {name} ({type(module)}), "
                    "and no checkpoint contains it. Give the module a method `reset_buffers()` that computes "
                    "all of it."
                )

    def _prepare(self, clips_BCTHW: Tensor) -> Tensor:
        shape = tuple(clips_BCTHW.shape)
        if len(shape) != 5 or shape[1] != 3:
            raise ValueError(f"{self.spec.name} expects clips of shape (B, 3, T, H, W), got {shape}.")
        if clips_BCTHW.is_floating_point():
            return clips_BCTHW
        if clips_BCTHW.dtype != torch.uint8:
            raise ValueError(
                f"{self.spec.name} expects clips (B, 3, T, H, W) of uint8, 0 to 255, or of "
                f"prepared floating point, got {clips_BCTHW.dtype}."
            )
        # In place, because `float()` has made a copy already: the caller's clips stay as they are.
        x_BCTHW = clips_BCTHW.float().div_(255)
        if self.normalisation:
            mean, std = (
                torch.tensor(values, device=x_BCTHW.device).view(3, 1, 1, 1)
                for values in (self.normalisation.mean, self.normalisation.std)
            )
            x_BCTHW.sub_(mean).div_(std)
        if self.spec.bgr:
            x_BCTHW = x_BCTHW.flip(1)
        return x_BCTHW


def _draw_by_fan_in(layer: nn.Conv3d | nn.Linear, generator: torch.Generator) -> None:
    # These are the numbers of torch's own `reset_parameters`, which takes no generator.
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _in_state(module: nn.Module) -> set[str]:
    """Names of the module's own buffers that its state dict holds."""
    found = {name for name, _ in module.named_buffers(recurse=False)}
    return found & set(module.state_dict()) if found else found


def _sets_all(module: ResetsBuffers, names: list[str]) -> bool:
    """Whether `reset_buffers` sets every value: it must give the same after a fill with 1 and with 0."""
    found = []
    for value in (1, 0):
        for name in names:
            getattr(module, name).fill_(value)
        module.reset_buffers()
        found.append([getattr(module, name).clone() for name in names])
    return all(torch.equal(first, second) for first, second in zip(*found, strict=True))


def _pool(x_BCTHW: Tensor) -> Tensor:
    # Under autocast a map is bfloat16. Features stay in float32 (docs/decisions/2026-11-29-bf16.md).
    return x_BCTHW.mean(dim=(2, 3, 4), dtype=torch.float32)
