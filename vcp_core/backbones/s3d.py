"""S3D (arXiv:1712.04851) as in torchvision: Inception with convolutions split into space and time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.inception import MIXED_3, MIXED_4, MIXED_5, Mixed
from vcp_core.backbones.r3d import Triple
from vcp_core.catalog.specs import BackboneSpec

LAST_OF_STAGES = (0, 3, 6, 12, 15)  # indices of blocks: the last one before each pooling, and the last of all


def _conv(in_channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Sequential:
    t, h, w = kernel
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, stride, (t // 2, h // 2, w // 2), bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def _separable(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        _conv(in_channels, out_channels, (1, size, size), (1, stride, stride)),
        _conv(out_channels, out_channels, (size, 1, 1), (stride, 1, 1)),
    )


class MixedBlock(nn.Module):
    """Four branches side by side."""

    def __init__(self, widths: Mixed) -> None:
        super().__init__()
        self.branch0 = _conv(widths.in_channels, widths.b0, (1, 1, 1))
        self.branch1 = nn.Sequential(
            _conv(widths.in_channels, widths.b1_middle, (1, 1, 1)), _separable(widths.b1_middle, widths.b1, 3)
        )
        self.branch2 = nn.Sequential(
            _conv(widths.in_channels, widths.b2_middle, (1, 1, 1)), _separable(widths.b2_middle, widths.b2, 3)
        )
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, 1, 1), _conv(widths.in_channels, widths.b3, (1, 1, 1)))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The branches' maps, concatenated over channels."""
        branches = (self.branch0, self.branch1, self.branch2, self.branch3)
        return torch.cat([branch(x_BCTHW) for branch in branches], dim=1)


class S3D(Backbone):
    """Sixteen blocks, poolings included, with torchvision's numbers."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        # Torchvision calls this list `features`, but here `features` is a method. catalog/keys.py has both.
        self.blocks = nn.Sequential(
            _separable(3, 64, 7, 2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            _conv(64, 64, (1, 1, 1)),
            _separable(64, 192, 3),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *map(MixedBlock, MIXED_3.values()),
            nn.MaxPool3d(3, 2, 1),
            *map(MixedBlock, MIXED_4.values()),
            nn.MaxPool3d(2, 2),
            *map(MixedBlock, MIXED_5.values()),
        )

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps before each pooling, and the last."""
        maps: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x_BCTHW = block(x_BCTHW)
            if number in LAST_OF_STAGES:
                maps.append(x_BCTHW)
        return maps
