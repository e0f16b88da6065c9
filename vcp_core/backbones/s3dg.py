"""S3D-G (arXiv:1712.04851, section 3.5) as MIL-NCE (arXiv:1912.06430) trains it: S3D with gates.

The first convolution reads blocks of 2 x 2 x 2 pixels as channels. Poolings are padded as in TensorFlow, with
zeros behind each side. Modules have the names of antoine77340/S3D_HowTo100M.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.inception import MIXED_3, MIXED_4, MIXED_5, Mixed
from vcp_core.backbones.r3d import Triple
from vcp_core.catalog.specs import BackboneSpec

# Mixed blocks between poolings, and kernel and stride of the pooling before them.
GROUPS: tuple[tuple[str, dict[str, Mixed], Triple, Triple], ...] = (
    ("mixed_3", MIXED_3, (1, 3, 3), (1, 2, 2)),
    ("mixed_4", MIXED_4, (3, 3, 3), (2, 2, 2)),
    ("mixed_5", MIXED_5, (2, 2, 2), (2, 2, 2)),
)


class Convolution(nn.Module):
    """A convolution, batch-norm and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Frames, height and width that it covers.
        padding: Zeros on both sides; half the kernel if left out.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Triple = (1, 1, 1), padding: Triple | None = None
    ) -> None:
        super().__init__()
        t, h, w = kernel
        self.conv1 = nn.Conv3d(
            in_channels, out_channels, kernel, padding=padding or (t // 2, h // 2, w // 2), bias=False
        )
        self.bn1 = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after the ReLU."""
        return torch.relu_(self.bn1(self.conv1(x_BCTHW)))


class Separable(Convolution):
    """A 3 x 3 x 3 convolution in two factors: over pixels, then over frames."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, (1, 3, 3))
        self.conv2 = nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.bn2 = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The map after both factors."""
        return torch.relu_(self.bn2(self.conv2(super().forward(x_BCTHW))))


class Gate(nn.Module):
    """Each channel, times a number from 0 to 1 that the averages of all channels decide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The gated map."""
        gates_BC = torch.sigmoid(self.fc(x_BCTHW.mean(dim=(2, 3, 4))))
        return gates_BC[:, :, None, None, None] * x_BCTHW


class MixedBlock(nn.Module):
    """Four branches side by side, each with a gate."""

    def __init__(self, widths: Mixed) -> None:
        super().__init__()
        self.conv_b0 = Convolution(widths.in_channels, widths.b0)
        self.conv_b1_a = Convolution(widths.in_channels, widths.b1_middle)
        self.conv_b1_b = Separable(widths.b1_middle, widths.b1)
        self.conv_b2_a = Convolution(widths.in_channels, widths.b2_middle)
        self.conv_b2_b = Separable(widths.b2_middle, widths.b2)
        self.conv_b3_b = Convolution(widths.in_channels, widths.b3)
        for branch, channels in enumerate((widths.b0, widths.b1, widths.b2, widths.b3)):
            self.add_module(f"gating_b{branch}", Gate(channels))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The branches' maps, concatenated over channels."""
        branches = (
            self.conv_b0(x_BCTHW),
            self.conv_b1_b(self.conv_b1_a(x_BCTHW)),
            self.conv_b2_b(self.conv_b2_a(x_BCTHW)),
            self.conv_b3_b(nn.functional.max_pool3d(x_BCTHW, 3, 1, 1)),
        )
        gated = (self.get_submodule(f"gating_b{branch}")(map_) for branch, map_ in enumerate(branches))
        return torch.cat(list(gated), dim=1)


class S3DG(Backbone):
    """Three convolutions and nine mixed blocks."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        # Padded as in TensorFlow: one zero more behind than before, once `_maps` has cut off the first place.
        self.conv1 = Convolution(8 * 3, 64, (2, 4, 4), padding=(1, 2, 2))
        self.conv_2b = Convolution(64, 64)
        self.conv_2c = Separable(64, 192)
        self.gating = Gate(192)
        for group, blocks, _, _ in GROUPS:
            for letter, widths in blocks.items():
                self.add_module(f"{group}{letter}", MixedBlock(widths))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps before each pooling, and the last."""
        return list(self._maps(x_BCTHW))

    def _maps(self, x_BCTHW: Tensor) -> Iterator[Tensor]:
        x_BCTHW = self.conv1(pixels_to_channels(x_BCTHW))[:, :, 1:, 1:, 1:]
        yield x_BCTHW
        x_BCTHW = self.conv_2c(self.conv_2b(pool_padded(x_BCTHW, (1, 3, 3), (1, 2, 2))))
        x_BCTHW = self.gating(x_BCTHW)
        yield x_BCTHW
        for group, blocks, kernel, stride in GROUPS:
            x_BCTHW = pool_padded(x_BCTHW, kernel, stride)
            for letter in blocks:
                x_BCTHW = self.get_submodule(f"{group}{letter}")(x_BCTHW)
            yield x_BCTHW


def pixels_to_channels(x_BCTHW: Tensor) -> Tensor:
    """Halve frames, height and width. The channels are those of 2 x 2 x 2 pixels, pixel after pixel."""
    B, C, T, H, W = x_BCTHW.shape
    blocks = x_BCTHW.reshape(B, C, T // 2, 2, H // 2, 2, W // 2, 2).permute(0, 3, 5, 7, 1, 2, 4, 6)
    return blocks.reshape(B, 8 * C, T // 2, H // 2, W // 2)


def pool_padded(x_BCTHW: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Max pooling. As many zeros are added as the kernel exceeds the stride, more of them behind."""
    missing = [size - step for size, step in zip(kernel, stride, strict=True)]
    front, top, left = (zeros // 2 for zeros in missing)
    back, bottom, right = (zeros - zeros // 2 for zeros in missing)
    padded_BCTHW = nn.functional.pad(x_BCTHW, (left, right, top, bottom, front, back))
    return nn.functional.max_pool3d(padded_BCTHW, kernel, stride, ceil_mode=True)
