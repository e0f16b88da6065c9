"""R3D (arXiv:1711.11248) as VCOP and VCP train it: five stages, residual blocks in all but the first.

One block per stage gives the papers' network. Two blocks per stage give its 18-layer variant.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import BackboneSpec

Triple = tuple[int, int, int]


class SpatioTemporalConv(nn.Module):
    """A padded 3D convolution under the family's key name. Only its stride makes the map smaller."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        t, h, w = kernel
        self.temporal_spatial_conv = nn.Conv3d(
            in_channels, out_channels, kernel, stride, (t // 2, h // 2, w // 2), bias=False
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The convolution."""
        return cast(Tensor, self.temporal_spatial_conv(x_BCTHW))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut: a strided 1 x 1 x 1 convolution where the size halves."""

    def __init__(self, conv: type[nn.Module], in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.downsample = stride > 1
        if self.downsample:
            self.downsampleconv = conv(in_channels, out_channels, (1, 1, 1), (stride, stride, stride))
            self.downsamplebn = nn.BatchNorm3d(out_channels)
        self.conv1 = conv(in_channels, out_channels, (3, 3, 3), (stride, stride, stride))
        self.bn1 = nn.BatchNorm3d(out_channels)
        self.conv2 = conv(out_channels, out_channels, (3, 3, 3), (1, 1, 1))
        self.bn2 = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        shortcut = self.downsamplebn(self.downsampleconv(x_BCTHW)) if self.downsample else x_BCTHW
        out_BCTHW = torch.relu_(self.bn1(self.conv1(x_BCTHW)))
        out_BCTHW = self.bn2(self.conv2(out_BCTHW))
        out_BCTHW += shortcut
        return torch.relu_(out_BCTHW)


class Stage(nn.Module):
    """Blocks under VCOP's key names: `block1` is the first, the list `blocks` holds the others."""

    def __init__(
        self, conv: type[nn.Module], in_channels: int, out_channels: int, *, stride: int, num_blocks: int
    ) -> None:
        super().__init__()
        self.block1 = ResidualBlock(conv, in_channels, out_channels, stride)
        self.blocks = nn.ModuleList(
            ResidualBlock(conv, out_channels, out_channels, 1) for _ in range(num_blocks - 1)
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The stage's map."""
        x_BCTHW = self.block1(x_BCTHW)
        for block in self.blocks:
            x_BCTHW = block(x_BCTHW)
        return x_BCTHW


class R3D(Backbone):
    """The layout of the R3D family; the attribute `conv` is the kind of all its convolutions.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        num_blocks: Number of blocks in each stage except the first, which has none.
    """

    conv: type[nn.Module] = SpatioTemporalConv

    def __init__(self, spec: BackboneSpec, *, num_blocks: int = 1) -> None:
        super().__init__(spec)
        dims = spec.stage_dims
        self.conv1 = self.conv(spec.clip_shape[0], dims[0], (3, 7, 7), (1, 2, 2))
        self.bn1 = nn.BatchNorm3d(dims[0])
        for number in range(2, 6):
            stride = 1 if number == 2 else 2
            stage = Stage(self.conv, dims[number - 2], dims[number - 1], stride=stride, num_blocks=num_blocks)
            self.add_module(f"conv{number}", stage)

    def stem(self, x_BCTHW: Tensor) -> Tensor:
        """The map of conv1."""
        return torch.relu_(self.bn1(self.conv1(x_BCTHW)))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of conv1 to conv5, each after its last ReLU."""
        maps = [self.stem(x_BCTHW)]
        for name in self.spec.stages[1:]:
            maps.append(self.get_submodule(name)(maps[-1]))
        return maps
