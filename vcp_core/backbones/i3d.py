"""I3D (arXiv:1705.07750), RGB, as in its public PyTorch port: Inception with kernels inflated in time."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.inception import MIXED_3, MIXED_4, MIXED_5, Mixed
from vcp_core.backbones.r3d import Triple
from vcp_core.catalog.specs import BackboneSpec

# Poolings by the block they come before, as (kernel, stride).
POOLINGS: dict[str, tuple[Triple, Triple]] = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


def pad_same(x_BCTHW: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad the map with zeros, so that a window gives the map's size divided by the stride, rounded up.

    This is TensorFlow's "SAME" rule. Torch's `padding=` cannot express it: the number of zeros depends on the
    size of the map, and an odd number puts one more zero behind the map than in front.

    >>> tuple(pad_same(torch.ones(1, 1, 4, 4, 4), (3, 3, 3), (2, 2, 2)).shape)
    (1, 1, 5, 5, 5)
    """
    pads: list[int] = []
    # Reversed: nn.functional.pad takes the width first.
    for size, k, s in zip(x_BCTHW.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return nn.functional.pad(x_BCTHW, pads)


def _pool_same(x_BCTHW: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    # Maps come out of a ReLU, so no zero exceeds a pixel: the result equals TensorFlow's pooling.
    return nn.functional.max_pool3d(pad_same(x_BCTHW, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """A convolution with TensorFlow's padding, batch-norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, out_channels, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The unit's map."""
        kernel, stride = cast(Triple, self.conv3d.kernel_size), cast(Triple, self.conv3d.stride)
        return torch.relu_(self.bn(self.conv3d(pad_same(x_BCTHW, kernel, stride))))


class MixedBlock(nn.Module):
    """Four branches side by side."""

    def __init__(self, widths: Mixed) -> None:
        super().__init__()
        self.b0 = Unit(widths.in_channels, widths.b0, 1)
        self.b1a = Unit(widths.in_channels, widths.b1_middle, 1)
        self.b1b = Unit(widths.b1_middle, widths.b1, 3)
        self.b2a = Unit(widths.in_channels, widths.b2_middle, 1)
        self.b2b = Unit(widths.b2_middle, widths.b2, 3)
        self.b3b = Unit(widths.in_channels, widths.b3, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The branches' maps, concatenated over channels."""
        pooled_BCTHW = _pool_same(x_BCTHW, (3, 3, 3), (1, 1, 1))
        branches = (
            self.b0(x_BCTHW),
            self.b1b(self.b1a(x_BCTHW)),
            self.b2b(self.b2a(x_BCTHW)),
            self.b3b(pooled_BCTHW),
        )
        return torch.cat(branches, dim=1)


class I3D(Backbone):
    """Three convolutions and nine mixed blocks; a stage ends before each pooling, and at the last block."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, stride=2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for number, group in ((3, MIXED_3), (4, MIXED_4), (5, MIXED_5)):
            for letter, widths in group.items():
                self.add_module(f"Mixed_{number}{letter}", MixedBlock(widths))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps of the blocks that the stages are named after."""
        maps: list[Tensor] = []
        for name, block in self.named_children():
            if name in POOLINGS:
                x_BCTHW = _pool_same(x_BCTHW, *POOLINGS[name])
            x_BCTHW = block(x_BCTHW)
            if name in self.spec.stages:
                maps.append(x_BCTHW)
        return maps
