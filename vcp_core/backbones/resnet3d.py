"""Torchvision's video ResNets (arXiv:1711.11248): a stem and four layers of basic blocks.

The networks of the family differ in the kind of convolution a layer is made of, so that is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.backbones import BACKBONES, BackboneSpec

Convolution = Callable[[int, int, int], nn.Module]  # in channels, out channels, stride


def conv_3x3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv3d:
    """The convolution of `r3d_18`: full in space and time, and so is its stride."""
    return nn.Conv3d(in_channels, out_channels, 3, stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut: a strided 1 x 1 x 1 convolution where the shape changes."""

    def __init__(self, conv: Convolution, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            conv(in_channels, out_channels, stride), nn.BatchNorm3d(out_channels), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(conv(out_channels, out_channels, 1), nn.BatchNorm3d(out_channels))
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm3d(out_channels)
            )
            if stride != 1 or in_channels != out_channels
            else None
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        out_BCTHW = self.conv2(self.conv1(x_BCTHW))
        out_BCTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        return torch.relu_(out_BCTHW)


def _layer(
    conv: Convolution, in_channels: int, out_channels: int, *, num_blocks: int, stride: int
) -> nn.Sequential:
    first = BasicBlock(conv, in_channels, out_channels, stride)
    rest = [BasicBlock(conv, out_channels, out_channels, 1) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)


class ResNet3D(Backbone):
    """A stem and four layers.

    Args:
        spec: What the catalog says; its stage_dims are the widths.
        convolutions: Of each layer's blocks, first to last.
        num_blocks: Of each layer.
    """

    def __init__(
        self, spec: BackboneSpec, *, convolutions: Sequence[Convolution], num_blocks: Sequence[int]
    ) -> None:
        super().__init__(spec)
        dims = spec.stage_dims
        self.stem = nn.Sequential(
            nn.Conv3d(spec.clip_shape[0], dims[0], (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(dims[0]),
            nn.ReLU(inplace=True),
        )
        for number, (conv, blocks) in enumerate(zip(convolutions, num_blocks, strict=True), start=1):
            stride = 1 if number == 1 else 2
            layer = _layer(conv, dims[number - 1], dims[number], num_blocks=blocks, stride=stride)
            self.add_module(f"layer{number}", layer)

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of the stem and of layer1 to layer4."""
        maps: list[Tensor] = []
        for name in self.spec.stages:
            x_BCTHW = self.get_submodule(name)(x_BCTHW)
            maps.append(x_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-out, as torchvision draws it."""
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)


def r3d_18() -> ResNet3D:
    """R3D with 18 layers, as torchvision has it."""
    return ResNet3D(BACKBONES["r3d_18"], convolutions=(conv_3x3x3,) * 4, num_blocks=(2, 2, 2, 2))
