"""R(2+1)D (arXiv:1711.11248) as VCOP and VCP train it: R3D with convolutions split into space and time."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.r3d import R3D, Triple


def intermediate_channels(in_channels: int, out_channels: int, kernel: Triple) -> int:
    """Channels between the two convolutions, so that both have as many weights as one full 3D (section 3.5).

    >>> intermediate_channels(64, 64, (3, 3, 3))
    144
    """
    t, h, w = kernel
    return (t * h * w * in_channels * out_channels) // (h * w * in_channels + t * out_channels)


class FactoredConv(nn.Module):
    """A convolution over space, batch-norm and ReLU, then a convolution over time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        (t, h, w), (stride_t, stride_h, stride_w) = kernel, stride
        channels = intermediate_channels(in_channels, out_channels, kernel)
        self.spatial_conv = nn.Conv3d(
            in_channels, channels, (1, h, w), (1, stride_h, stride_w), (0, h // 2, w // 2), bias=False
        )
        self.bn = nn.BatchNorm3d(channels)
        self.temporal_conv = nn.Conv3d(
            channels, out_channels, (t, 1, 1), (stride_t, 1, 1), (t // 2, 0, 0), bias=False
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after both convolutions."""
        x_BCTHW = torch.relu_(self.bn(self.spatial_conv(x_BCTHW)))
        return cast(Tensor, self.temporal_conv(x_BCTHW))


class R2Plus1D(R3D):
    """R3D with factored convolutions, the stem's and the shortcuts' among them."""

    conv = FactoredConv
