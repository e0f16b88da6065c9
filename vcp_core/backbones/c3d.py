"""C3D (arXiv:1412.0767) as VCOP and VCP train it: batch-norm after each convolution, pooled after conv5b."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import BackboneSpec

LAYERS = (("1",), ("2",), ("3a", "3b"), ("4a", "4b"), ("5a", "5b"))  # conv<layer>, bn<layer>, stage by stage


class C3D(Backbone):
    """Eight 3 x 3 x 3 convolutions with biases, in five stages with max-pooling between them."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        in_channels = spec.clip_shape[0]
        for layers, channels in zip(LAYERS, spec.stage_dims, strict=True):
            for layer in layers:
                self.add_module(f"conv{layer}", nn.Conv3d(in_channels, channels, 3, padding=1))
                self.add_module(f"bn{layer}", nn.BatchNorm3d(channels))
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
