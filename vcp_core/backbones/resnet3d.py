"""Torchvision's video ResNets (arXiv:1711.11248), and those that others build from its classes.

The networks have a stem and four layers of blocks. They differ in the kind of convolution in their layers, in
the kind of block and in their depths, so these are arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.r2plus1d import intermediate_channels
from vcp_core.catalog.specs import BackboneSpec

WIDENS = 4  # output channels of a bottleneck, as a multiple of its inner channels


class Convolution(NamedTuple):
    """The kind of convolution in the blocks of a layer.

    Attributes:
        make: Builds the module from (in channels, channels between two factors, out channels, stride).
        strides_time: Whether the stride of the convolution and of the shortcut applies to frames, too.
    """

    make: Callable[[int, int, int, int], nn.Module]
    strides_time: bool = True


def _full(in_channels: int, _: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Conv3d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def _spatial(in_channels: int, _: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Conv3d(in_channels, out_channels, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)


def _dilated(in_channels: int, _: int, out_channels: int, stride: int) -> nn.Module:
    """Keep all frames, and reach over as many of them as a full convolution that strides over time would."""
    strides, dilation = (1, stride, stride), (stride, 1, 1)
    return nn.Conv3d(in_channels, out_channels, 3, strides, dilation, dilation, bias=False)


def _factored(in_channels: int, middle: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(in_channels, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out_channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


def _depthwise(channels: int, _: int, __: int, stride: int) -> nn.Module:
    return nn.Conv3d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def _depthwise_after_mixing(channels: int, _: int, __: int, stride: int) -> nn.Module:
    """Mix channels, then filter each by itself: "interaction-preserved" in arXiv:1904.02811, section 3.3."""
    return nn.Sequential(
        nn.Conv3d(channels, channels, 1, bias=False),
        nn.BatchNorm3d(channels),
        _depthwise(channels, 0, channels, stride),
    )


CONVOLUTIONS = {
    "full": Convolution(_full),
    "spatial": Convolution(_spatial, strides_time=False),
    "dilated": Convolution(_dilated, strides_time=False),
    "factored": Convolution(_factored),
    "depthwise": Convolution(_depthwise),
    "depthwise after mixing": Convolution(_depthwise_after_mixing),
}


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut: a strided 1 x 1 x 1 convolution where the shape changes.

    Args:
        conv: The kind of convolution.
        in_channels: Channels of the block's input.
        out_channels: Channels of its output.
        stride: Of the first convolution.
        own_middle: Whether each convolution's own channels decide how many lie between its two factors. In
            torchvision's weights, the first convolution's channels decide the number for both.
    """

    def __init__(
        self, conv: Convolution, in_channels: int, out_channels: int, stride: int, *, own_middle: bool = False
    ) -> None:
        super().__init__()
        middle = intermediate_channels(in_channels, out_channels, (3, 3, 3))
        self.conv1 = nn.Sequential(
            conv.make(in_channels, middle, out_channels, stride),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        )
        if own_middle:
            middle = intermediate_channels(out_channels, out_channels, (3, 3, 3))
        self.conv2 = nn.Sequential(
            conv.make(out_channels, middle, out_channels, 1), nn.BatchNorm3d(out_channels)
        )
        self.downsample = _shortcut(conv, in_channels, out_channels, stride)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        out_BCTHW = self.conv2(self.conv1(x_BCTHW))
        out_BCTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        return torch.relu_(out_BCTHW)


class BottleneckBlock(nn.Module):
    """A convolution between two of 1 x 1 x 1, beside a shortcut as in `BasicBlock`.

    Args:
        conv: The kind of the middle convolution.
        in_channels: Channels of the block's input.
        out_channels: Channels of its output, `WIDENS` times as many as inside.
        stride: Of the middle convolution.
    """

    def __init__(self, conv: Convolution, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        inner = out_channels // WIDENS
        middle = intermediate_channels(inner, inner, (3, 3, 3))
        self.conv1 = nn.Sequential(
            nn.Conv3d(in_channels, inner, 1, bias=False), nn.BatchNorm3d(inner), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(
            conv.make(inner, middle, inner, stride), nn.BatchNorm3d(inner), nn.ReLU(inplace=True)
        )
        self.conv3 = nn.Sequential(
            nn.Conv3d(inner, out_channels, 1, bias=False), nn.BatchNorm3d(out_channels)
        )
        self.downsample = _shortcut(conv, in_channels, out_channels, stride)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        out_BCTHW = self.conv3(self.conv2(self.conv1(x_BCTHW)))
        out_BCTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        return torch.relu_(out_BCTHW)


BLOCKS: dict[str, Callable[[Convolution, int, int, int], nn.Module]] = {
    "basic": BasicBlock,
    "basic, own middles": functools.partial(BasicBlock, own_middle=True),
    "bottleneck": BottleneckBlock,
}


def _shortcut(conv: Convolution, in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    strides = (stride if conv.strides_time else 1, stride, stride)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, 1, strides, bias=False), nn.BatchNorm3d(out_channels)
    )


def _full_stem(out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(3, out_channels, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def _factored_stem(out_channels: int) -> nn.Sequential:
    middle = 45  # torchvision's, after the authors' own code; the paper's rule would give 83
    return nn.Sequential(
        nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out_channels, (3, 1, 1), 1, (1, 0, 0), bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def _pooled(stem: Callable[[int], nn.Sequential]) -> Callable[[int], nn.Sequential]:
    """Add VMZ's `use_pool1`, which has no weights."""
    pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    return lambda out_channels: nn.Sequential(*stem(out_channels), pool)


STEMS = {
    "full": _full_stem,
    "factored": _factored_stem,
    "full, pooled": _pooled(_full_stem),
    "factored, pooled": _pooled(_factored_stem),
}


class ResNet3D(Backbone):
    """A stem and four layers of blocks.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        convolutions: Names of `CONVOLUTIONS`, one for each layer, first to last.
        stem: A name of `STEMS`.
        depths: Number of blocks of each layer.
        block: A name of `BLOCKS`.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        convolutions: Sequence[str],
        stem: str = "full",
        depths: Sequence[int] = (2, 2, 2, 2),
        block: str = "basic",
    ) -> None:
        super().__init__(spec)
        dims = spec.stage_dims
        self.stem = STEMS[stem](dims[0])
        make = BLOCKS[block]
        for number, (name, depth) in enumerate(zip(convolutions, depths, strict=True), start=1):
            conv, stride = CONVOLUTIONS[name], 1 if number == 1 else 2
            layer = nn.Sequential(
                make(conv, dims[number - 1], dims[number], stride),
                *(make(conv, dims[number], dims[number], 1) for _ in range(depth - 1)),
            )
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
