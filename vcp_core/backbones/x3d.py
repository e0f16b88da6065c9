"""X3D (arXiv:2004.04730), as PyTorchVideo, PySlowFast and MMAction2 build it: depthwise bottlenecks.

X3D keeps all frames. XS, S and M are one network, trained on other clips; L has more blocks. Modules have
PyTorchVideo's names. The names that PySlowFast and MMAction2 give to the same weights are in catalog/keys.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import BackboneSpec

WIDENS = 2.25  # inner channels of a bottleneck, as a multiple of its output channels; section 4.2
DEPTHS = (3, 5, 11, 7)  # blocks of each stage of X3D-M: 1, 2, 5 and 3, times 2.2


def gate_channels(channels: int) -> int:
    """Channels inside a gate: a sixteenth of the gated ones, as a multiple of 8.

    The multiple is the nearest one, or the next one where the nearest is below 90 % of the sixteenth.

    >>> [gate_channels(channels) for channels in (54, 108, 216, 432)]
    [8, 8, 16, 32]
    """
    wanted = channels / 16
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def _pointwise(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(in_channels, out_channels, 1, (1, stride, stride), bias=False)


class Stem(nn.Module):
    """A convolution over space, then one over time for each channel by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # PyTorchVideo swaps the names: `conv_t` covers space, and `conv_xy` covers time.
        space = nn.Conv3d(3, channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        time = nn.Conv3d(channels, channels, (5, 1, 1), padding=(2, 0, 0), groups=channels, bias=False)
        self.conv = nn.Sequential(OrderedDict(conv_t=space, conv_xy=time))
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The stem's map."""
        return torch.relu_(self.norm(self.conv(x_BCTHW)))


class Gate(nn.Module):
    """Squeeze and excitation (arXiv:1709.01507): the means of all channels scale each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = gate_channels(channels)
        self.block = nn.Sequential(
            nn.Conv3d(channels, inner, 1), nn.ReLU(), nn.Conv3d(inner, channels, 1), nn.Sigmoid()
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map, each channel times its factor between 0 and 1."""
        return x_BCTHW * self.block(x_BCTHW.mean(dim=(2, 3, 4), keepdim=True))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A depthwise convolution between two of 1 x 1 x 1; every second bottleneck has a gate."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, gated: bool) -> None:
        super().__init__()
        inner = int(WIDENS * out_channels)
        self.conv_a = _pointwise(in_channels, inner)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, 3, (1, stride, stride), padding=1, groups=inner, bias=False)
        self.norm_b = nn.Sequential(nn.BatchNorm3d(inner), Gate(inner) if gated else nn.Identity())
        self.conv_c = _pointwise(inner, out_channels)
        self.norm_c = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map before the sum."""
        x_BCTHW = torch.relu_(self.norm_a(self.conv_a(x_BCTHW)))
        x_BCTHW = nn.functional.silu(self.norm_b(self.conv_b(x_BCTHW)), inplace=True)
        return self.norm_c(self.conv_c(x_BCTHW))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A bottleneck beside a shortcut, which is a convolution where the block strides."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, gated: bool, shortcut_norm: bool
    ) -> None:
        super().__init__()
        self.strides = stride > 1
        if self.strides:
            self.branch1_conv = _pointwise(in_channels, out_channels, stride)
            self.branch1_norm = nn.BatchNorm3d(out_channels) if shortcut_norm else nn.Identity()
        self.branch2 = Bottleneck(in_channels, out_channels, stride=stride, gated=gated)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The block's map."""
        shortcut = self.branch1_norm(self.branch1_conv(x_BCTHW)) if self.strides else x_BCTHW
        out_BCTHW = self.branch2(x_BCTHW)
        out_BCTHW += shortcut
        return torch.relu_(out_BCTHW)


class Stage(nn.Module):
    """Several blocks; the first halves height and width."""

    def __init__(self, in_channels: int, out_channels: int, *, depth: int, shortcut_norm: bool) -> None:
        super().__init__()
        self.res_blocks = nn.Sequential(
            *(
                Block(
                    out_channels if number else in_channels,
                    out_channels,
                    stride=1 if number else 2,
                    gated=number % 2 == 0,
                    shortcut_norm=shortcut_norm,
                )
                for number in range(depth)
            )
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The stage's map."""
        return self.res_blocks(x_BCTHW)  # type: ignore[no-any-return]


class LastConvolution(nn.Module):
    """The convolution before the pooling, conv5 in the paper. In PyTorchVideo it is the head's first."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv, norm = _pointwise(in_channels, out_channels), nn.BatchNorm3d(out_channels)
        self.pool = nn.Sequential(OrderedDict(pre_conv=conv, pre_norm=norm))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The last map."""
        return torch.relu_(self.pool(x_BCTHW))


class X3D(Backbone):
    """A stem, four stages, and the convolution before the pooling.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths.
        depths: Blocks of each stage.
        first_shortcut_norm: Whether a batch normalisation follows the shortcut of the first block. It does in
            PySlowFast and MMAction2. In PyTorchVideo only shortcuts that change the width have one.
    """

    def __init__(
        self, spec: BackboneSpec, *, depths: Sequence[int] = DEPTHS, first_shortcut_norm: bool = False
    ) -> None:
        super().__init__(spec)
        stem_dim, *dims, last_dim = spec.stage_dims
        self.blocks = nn.ModuleList([Stem(stem_dim)])
        in_dim = stem_dim
        for dim, depth in zip(dims, depths, strict=True):
            shortcut_norm = first_shortcut_norm or in_dim != dim
            self.blocks.append(Stage(in_dim, dim, depth=depth, shortcut_norm=shortcut_norm))
            in_dim = dim
        self.blocks.append(LastConvolution(in_dim, last_dim))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of the stem, of the four stages, and of the last convolution."""
        maps: list[Tensor] = []
        for block in self.blocks:
            x_BCTHW = block(x_BCTHW)
            maps.append(x_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-out, as all three projects draw it."""
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
