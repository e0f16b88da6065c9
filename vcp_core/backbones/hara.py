"""Hara's 3D-ResNets (arXiv:1711.09577) and R(2+1)D (arXiv:2004.04968), and R2D3D of DPC and CoCLR.

All of them have a stem, a max pooling and four layers of residual blocks, under the names of Hara's code.
They differ in depths, in the kernels and strides of their blocks, and in their shortcuts. So these are
arguments. A batch normalisation follows each convolution, and no convolution has a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.r2plus1d import intermediate_channels
from vcp_core.backbones.r3d import Triple
from vcp_core.catalog.specs import BackboneSpec

Strides = tuple[int, int]  # over frames, and over pixels

# Kernels of a block's convolutions, first to last. The stride belongs to the last but one.
BLOCKS: dict[str, tuple[Triple, ...]] = {
    "basic": ((3, 3, 3), (3, 3, 3)),
    "basic 2D": ((1, 3, 3), (1, 3, 3)),
    "bottleneck": ((1, 1, 1), (3, 3, 3), (1, 1, 1)),
    "bottleneck 2D": ((1, 1, 1), (1, 3, 3), (1, 1, 1)),
    "bottleneck, time first": ((3, 1, 1), (1, 3, 3), (1, 1, 1)),
}
WIDENS = 4  # output channels of a bottleneck, as a multiple of its inner channels
STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2))  # layer by layer


class PaddedShortcut(nn.Module):
    """Shortcut A (arXiv:1512.03385, section 4.1): every second frame and pixel, and channels of zeros."""

    def __init__(self, new_channels: int, stride: Strides) -> None:
        super().__init__()
        self._new_channels = new_channels
        self._stride = stride

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The smaller map with more channels."""
        frames, pixels = self._stride
        x_BCTHW = x_BCTHW[:, :, ::frames, ::pixels, ::pixels]
        return nn.functional.pad(x_BCTHW, (0, 0, 0, 0, 0, 0, 0, self._new_channels))


class Block(nn.Module):
    """Two or three convolutions beside a shortcut.

    Args:
        in_channels: Channels of the block's input.
        out_channels: Channels of its output.
        kernels: A value of `BLOCKS`.
        stride: Of the last convolution but one, and of the shortcut.
        shortcut: How a shortcut changes the shape: "A" pads zeros, "B" is a convolution of 1 x 1 x 1.
        factored: Whether convolutions are in two factors.
        last_relu: Whether a ReLU follows the sum.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: Sequence[Triple],
        stride: Strides,
        *,
        shortcut: str,
        factored: bool,
        last_relu: bool = True,
    ) -> None:
        super().__init__()
        self._last_relu = last_relu
        self._names: list[str] = []
        inner = out_channels if len(kernels) == 2 else out_channels // WIDENS
        channels = in_channels
        for number, kernel in enumerate(kernels, start=1):
            left = len(kernels) - number
            width = inner if left else out_channels
            own_stride = stride if left == 1 else (1, 1)
            self._names += _add_conv(self, str(number), channels, width, kernel, own_stride, factored)
            channels = width
        self.downsample: nn.Module | None = None
        if stride != (1, 1) or in_channels != out_channels:
            self.downsample = (
                PaddedShortcut(out_channels - in_channels, stride)
                if shortcut == "A"
                else nn.Sequential(
                    nn.Conv3d(in_channels, out_channels, 1, (stride[0], stride[1], stride[1]), bias=False),
                    nn.BatchNorm3d(out_channels),
                )
            )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        *names, last = self._names
        out_BCTHW = x_BCTHW
        for name in names:
            out_BCTHW = torch.relu_(_convolve(self, name, out_BCTHW))
        out_BCTHW = _convolve(self, last, out_BCTHW)
        out_BCTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        return torch.relu_(out_BCTHW) if self._last_relu else out_BCTHW


class HaraResNet(Backbone):
    """A stem, a pooling and four layers of blocks.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        depths: Number of blocks of each layer.
        blocks: Names of `BLOCKS`, one for each layer.
        strides: Strides of each layer's first block.
        stem: Frames that the stem's convolution covers, and its stride over frames.
        pools_t: Whether the pooling halves the frames, too, and not only the pixels.
        shortcut: As for `Block`.
        factored: Whether each convolution over frames and pixels is in two factors: first over pixels, then
            over frames.
        last_relu: Whether a ReLU follows the sum of the last block.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        depths: Sequence[int],
        blocks: Sequence[str],
        strides: Sequence[Strides] = STRIDES,
        stem: tuple[int, int] = (7, 1),
        pools_t: bool = True,
        shortcut: str = "B",
        factored: bool = False,
        last_relu: bool = True,
    ) -> None:
        super().__init__(spec)
        dims = spec.stage_dims
        frames, stride_t = stem
        self._stem = _add_conv(self, "1", 3, dims[0], (frames, 7, 7), (stride_t, 2), factored)
        self.maxpool = nn.MaxPool3d(3, 2, 1) if pools_t else nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        for number, (depth, block, stride) in enumerate(zip(depths, blocks, strides, strict=True), start=1):
            layer = nn.Sequential(
                *(
                    Block(
                        dims[number] if place else dims[number - 1],
                        dims[number],
                        BLOCKS[block],
                        (1, 1) if place else stride,
                        shortcut=shortcut,
                        factored=factored,
                        last_relu=last_relu or (number, place) != (len(depths), depth - 1),
                    )
                    for place in range(depth)
                )
            )
            self.add_module(f"layer{number}", layer)

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of the stem, before its pooling, and of layer1 to layer4."""
        for name in self._stem:
            x_BCTHW = torch.relu_(_convolve(self, name, x_BCTHW))
        maps = [x_BCTHW]
        x_BCTHW = self.maxpool(x_BCTHW)
        for name in self.spec.stages[1:]:
            x_BCTHW = self.get_submodule(name)(x_BCTHW)
            maps.append(x_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-out, as all these projects draw it."""
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu", generator=generator)


def _add_conv(
    module: nn.Module,
    number: str,
    in_channels: int,
    out_channels: int,
    kernel: Triple,
    stride: Strides,
    factored: bool,
) -> list[str]:
    """Add a convolution and its normalisation to a module; return what follows `conv` and `bn` in names."""
    (t, h, w), (stride_t, stride_s) = kernel, stride
    parts = [(number, out_channels, kernel, (stride_t, stride_s, stride_s))]
    if factored and t > 1 and h > 1:
        middle = intermediate_channels(in_channels, out_channels, kernel)
        parts = [
            (f"{number}_s", middle, (1, h, w), (1, stride_s, stride_s)),
            (f"{number}_t", out_channels, (t, 1, 1), (stride_t, 1, 1)),
        ]
    for name, channels, size, step in parts:
        padding = (size[0] // 2, size[1] // 2, size[2] // 2)
        module.add_module(f"conv{name}", nn.Conv3d(in_channels, channels, size, step, padding, bias=False))
        module.add_module(f"bn{name}", nn.BatchNorm3d(channels))
        in_channels = channels
    return [name for name, *_ in parts]


def _convolve(module: nn.Module, name: str, x_BCTHW: Tensor) -> Tensor:
    conv, norm = module.get_submodule(f"conv{name}"), module.get_submodule(f"bn{name}")
    return cast(Tensor, norm(conv(x_BCTHW)))
