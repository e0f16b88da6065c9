"""C3D (arXiv:1412.0767), pooled after conv5b: with the batch normalisations of VCOP and VCP, or without."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import BackboneSpec

LAYERS = (("1",), ("2",), ("3a", "3b"), ("4a", "4b"), ("5a", "5b"))  # conv<layer>, bn<layer>, stage by stage


class C3D(Backbone):
    """Eight 3 x 3 x 3 convolutions with biases, in five stages with max-pooling between them.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        normalises: Whether a batch normalisation follows each convolution.
    """

    def __init__(self, spec: BackboneSpec, *, normalises: bool = True) -> None:
        super().__init__(spec)
        self._normalises = normalises
        in_channels = spec.clip_shape[0]
        for layers, channels in zip(LAYERS, spec.stage_dims, strict=True):
            for layer in layers:
                self.add_module(f"conv{layer}", nn.Conv3d(in_channels, channels, 3, padding=1))
                self.add_module(f"bn{layer}", nn.BatchNorm3d(channels) if normalises else nn.Identity())
                in_channels = channels

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of conv1 to conv5, each before the pooling that follows it."""
        maps: list[Tensor] = []
        for stage, layers in enumerate(LAYERS):
            if stage > 0:  # the first pooling keeps all frames: C3D section 3.2
                x_BCTHW = nn.functional.max_pool3d(x_BCTHW, (1, 2, 2) if stage == 1 else 2)
            for layer in layers:
                conv, norm = self.get_submodule(f"conv{layer}"), self.get_submodule(f"bn{layer}")
                x_BCTHW = torch.relu_(norm(conv(x_BCTHW)))
            maps.append(x_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Torch's default, as VCOP. Without batch normalisations, Kaiming's weights, as jfzhang95 draws."""
        super().initialise_conv(conv, generator)
        if not self._normalises:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
