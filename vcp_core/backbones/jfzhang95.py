"""R3D and R(2+1)D (arXiv:1711.11248) as jfzhang95 builds them: VCOP's layout, normalised twice.

Each convolution of a block normalises its own output, and the block normalises it again.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.r2plus1d import intermediate_channels
from vcp_core.backbones.r3d import R3D, SpatioTemporalConv, Triple
from vcp_core.catalog.specs import BackboneSpec

STEM_MIDDLE = 45  # channels between the stem's factors, as in the authors' own code


class NormedConv(SpatioTemporalConv):
    """A 3D convolution, batch-norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after the ReLU."""
        return torch.relu_(self.bn(super().forward(x_BCTHW)))


class NormedFactoredConv(nn.Module):
    """Two convolutions, over space and then over time, each with batch-norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        (t, h, w), (stride_t, stride_h, stride_w) = kernel, stride
        is_stem = in_channels == 3
        channels = STEM_MIDDLE if is_stem else intermediate_channels(in_channels, out_channels, kernel)
        self.spatial_conv = nn.Conv3d(
            in_channels, channels, (1, h, w), (1, stride_h, stride_w), (0, h // 2, w // 2), bias=False
        )
        self.bn1 = nn.BatchNorm3d(channels)
        self.temporal_conv = nn.Conv3d(
            channels, out_channels, (t, 1, 1), (stride_t, 1, 1), (t // 2, 0, 0), bias=False
        )
        self.bn2 = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after the second ReLU."""
        x_BCTHW = torch.relu_(self.bn1(self.spatial_conv(x_BCTHW)))
        return torch.relu_(self.bn2(self.temporal_conv(x_BCTHW)))


class NormedR3D(R3D):
    """R3D of `NormedConv`."""

    conv: type[nn.Module] = NormedConv

    def __init__(self, spec: BackboneSpec, *, num_blocks: int = 1) -> None:
        super().__init__(spec, num_blocks=num_blocks)
        del self.bn1  # the stem is not normalised again

    def stem(self, x_BCTHW: Tensor) -> Tensor:
        """The map of conv1."""
        return cast(Tensor, self.conv1(x_BCTHW))

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-in."""
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)


class NormedR2Plus1D(NormedR3D):
    """The same of `NormedFactoredConv`."""

    conv = NormedFactoredConv
