"""Video ResNets of bottlenecks, as PyTorchVideo and SlowFast build them: Slow, I3D, C2D, CSN and R(2+1)D.

Slow (arXiv:1812.03982) never strides in time, and only its last two stages have kernels that cover several
frames. I3D-R50 and C2D-R50 (arXiv:1711.07971, table 1) halve the frames once, by a pooling after the first
stage. CSN (arXiv:1904.02811) and R(2+1)D (arXiv:1711.11248) have another convolution in the middle of their
blocks, and stride time with it. Modules have PyTorchVideo's names. The names that SlowFast and MMAction2 give
to the same weights are in catalog/keys.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import BackboneSpec

Strides = tuple[int, int]  # over frames, and over pixels

DEPTHS = (3, 4, 6, 3)  # blocks of a 50-layer ResNet, stage by stage
# Frames that a block's first convolution covers, stage by stage; section 3.1, table 1. The blocks of a stage
# take the numbers in turn.
KERNELS_T = ((1,), (1,), (3,), (3,))
STRIDES = ((1, 1), (1, 2), (1, 2), (1, 2))  # over frames and over pixels, stage by stage
WIDENS = 4  # output channels of a block, as a multiple of its inner channels


class Stem(nn.Module):
    """One convolution over pixels."""

    def __init__(self, out_channels: int, kernel_t: int, stride_t: int = 1) -> None:
        super().__init__()
        padding = (kernel_t // 2, 3, 3)
        self.conv = nn.Conv3d(3, out_channels, (kernel_t, 7, 7), (stride_t, 2, 2), padding, bias=False)
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The stem's map, before the pooling."""
        return torch.relu_(self.norm(self.conv(x_BCTHW)))


def pool_stem(x_BCTHW: Tensor, stride_t: int = 1, padding: int = 1) -> Tensor:
    """Halve height and width of the stem's map, and keep each `stride_t`th frame."""
    return nn.functional.max_pool3d(x_BCTHW, (1, 3, 3), (stride_t, 2, 2), (0, padding, padding))


class TimeThenSpace(nn.Module):
    """A 3 x 3 x 3 convolution in two factors, with PyTorchVideo's names: over time, then over space."""

    def __init__(self, channels: int, stride: Strides) -> None:
        super().__init__()
        stride_t, stride_s = stride
        self.conv_t = nn.Conv3d(channels, channels, (3, 1, 1), (stride_t, 1, 1), (1, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(channels)
        self.conv_xy = nn.Conv3d(
            channels, channels, (1, 3, 3), (1, stride_s, stride_s), (0, 1, 1), bias=False
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after both factors."""
        return self.conv_xy(torch.relu_(self.norm(self.conv_t(x_BCTHW))))  # type: ignore[no-any-return]


def _spatial(channels: int, stride: Strides) -> nn.Module:
    strides = (stride[0], stride[1], stride[1])
    return nn.Conv3d(channels, channels, (1, 3, 3), strides, (0, 1, 1), bias=False)


def _depthwise(channels: int, stride: Strides) -> nn.Module:
    strides = (stride[0], stride[1], stride[1])
    return nn.Conv3d(channels, channels, 3, strides, 1, groups=channels, bias=False)


MIDDLES: dict[str, Callable[[int, Strides], nn.Module]] = {
    "spatial": _spatial,
    "depthwise": _depthwise,
    "time, then space": TimeThenSpace,
}


class Bottleneck(nn.Module):
    """Three convolutions: over time, one of `MIDDLES` with the stride, and 1 x 1 x 1 to the full width."""

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, kernel_t: int, stride: Strides, middle: str
    ) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(
            in_channels, channels, (kernel_t, 1, 1), padding=(kernel_t // 2, 0, 0), bias=False
        )
        self.norm_a = nn.BatchNorm3d(channels)
        self.conv_b = MIDDLES[middle](channels, stride)
        self.norm_b = nn.BatchNorm3d(channels)
        self.conv_c = nn.Conv3d(channels, out_channels, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map before the sum."""
        x_BCTHW = torch.relu_(self.norm_a(self.conv_a(x_BCTHW)))
        x_BCTHW = torch.relu_(self.norm_b(self.conv_b(x_BCTHW)))
        return self.norm_c(self.conv_c(x_BCTHW))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A bottleneck beside a shortcut, a strided convolution where the shape changes."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_t: int, stride: Strides, middle: str
    ) -> None:
        super().__init__()
        self.changes_shape = in_channels != out_channels
        if self.changes_shape:
            strides = (stride[0], stride[1], stride[1])
            self.branch1_conv = nn.Conv3d(in_channels, out_channels, 1, strides, bias=False)
            self.branch1_norm = nn.BatchNorm3d(out_channels)
        self.branch2 = Bottleneck(in_channels, out_channels // WIDENS, out_channels, kernel_t, stride, middle)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        shortcut = self.branch1_norm(self.branch1_conv(x_BCTHW)) if self.changes_shape else x_BCTHW
        out_BCTHW = self.branch2(x_BCTHW)
        out_BCTHW += shortcut
        return torch.relu_(out_BCTHW)


class Stage(nn.Module):
    """Several blocks; the first changes the shape."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        depth: int,
        kernels_t: Sequence[int],
        stride: Strides,
        middle: str,
    ) -> None:
        super().__init__()
        first, *others = itertools.islice(itertools.cycle(kernels_t), depth)
        self.res_blocks = nn.Sequential(
            Block(in_channels, out_channels, kernel_t=first, stride=stride, middle=middle),
            *(
                Block(out_channels, out_channels, kernel_t=kernel_t, stride=(1, 1), middle=middle)
                for kernel_t in others
            ),
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The stage's map."""
        return self.res_blocks(x_BCTHW)  # type: ignore[no-any-return]


class Slow(Backbone):
    """A stem, a pooling over pixels, and four stages.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        depths: Blocks of each stage.
        kernels_t: As `KERNELS_T`.
        stem_t: Frames that the stem's convolution covers.
        stem_strides_t: Strides over frames of the stem's convolution and of the pooling after it.
        stem_padding: Pixels that the pooling after the stem adds on each side.
        pools_t: Whether a pooling over frames follows the first stage. It is a block of its own.
        pooled_t: Frames that this pooling makes one.
        middle: A name of `MIDDLES`.
        strides: As `STRIDES`.
        pools_stem: Whether a pooling over pixels follows the stem.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        depths: Sequence[int] = DEPTHS,
        kernels_t: Sequence[Sequence[int]] = KERNELS_T,
        stem_t: int = 1,
        stem_strides_t: tuple[int, int] = (1, 1),
        stem_padding: int = 1,
        pools_t: bool = False,
        pooled_t: int = 2,
        middle: str = "spatial",
        strides: Sequence[Strides] = STRIDES,
        pools_stem: bool = True,
    ) -> None:
        super().__init__(spec)
        self._pools_stem, self._stem_strides_t = pools_stem, stem_strides_t
        self._stem_padding = stem_padding
        dims = spec.stage_dims
        self.blocks = nn.ModuleList([Stem(dims[0], stem_t, stem_strides_t[0])])
        for number, (depth, kernels, stride) in enumerate(
            zip(depths, kernels_t, strides, strict=True), start=1
        ):
            stage = Stage(
                dims[number - 1],
                dims[number],
                depth=depth,
                kernels_t=kernels,
                stride=stride,
                middle=middle,
            )
            self.blocks.append(stage)
            if pools_t and number == 1:
                self.blocks.append(nn.MaxPool3d((pooled_t, 1, 1)))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of the stem, before its pooling, and of the four stages."""
        maps: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            if number == 1 and self._pools_stem:
                x_BCTHW = pool_stem(x_BCTHW, self._stem_strides_t[1], self._stem_padding)
            x_BCTHW = block(x_BCTHW)
            if not isinstance(block, nn.MaxPool3d):
                maps.append(x_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-out, as all three projects draw it."""
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu", generator=generator)
