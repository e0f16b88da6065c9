"""SlowFast (arXiv:1812.03982), as PyTorchVideo, PySlowFast and MMAction2 build it: Slow and a fast pathway.

The fast pathway takes every frame of a clip and has an eighth of the channels. The slow pathway takes every
4th or 8th frame. After each stage but the last, a convolution over time hands the fast pathway's map to the
slow one. Modules have PyTorchVideo's names. The names that PySlowFast and MMAction2 give to the same weights
are in catalog/keys.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.slow import DEPTHS, KERNELS_T, STRIDES, Stage, Stem, pool_stem
from vcp_core.catalog.specs import BackboneSpec

THINS = 8  # channels of the slow pathway, as a multiple of the fast pathway's; beta in section 3.2
HANDS = 2  # channels of a fusion, as a multiple of the fast pathway's; section 3.3
FAST_STEM_T, FAST_KERNELS_T = 5, ((3,), (3,), (3,), (3,))  # table 1


def every_nth(x_BCTHW: Tensor, n: int) -> Tensor:
    """Take the first frame and every nth after it, as MMAction2 does.

    >>> every_nth(torch.arange(32).view(1, 1, 32, 1, 1), 4).flatten().tolist()
    [0, 4, 8, 12, 16, 20, 24, 28]
    """
    return x_BCTHW[:, :, ::n]


def spread(x_BCTHW: Tensor, n: int) -> Tensor:
    """Take one frame of n from the first frame to the last, as PySlowFast and PyTorchVideo do.

    >>> spread(torch.arange(32).view(1, 1, 32, 1, 1), 4).flatten().tolist()
    [0, 4, 8, 13, 17, 22, 26, 31]
    """
    frames = x_BCTHW.shape[2]
    count = -(-frames // n)
    return x_BCTHW[:, :, [place * (frames - 1) // max(count - 1, 1) for place in range(count)]]


SLOW_FRAMES = {"every nth": every_nth, "spread": spread}


class Fusion(nn.Module):
    """A convolution over time that strides from the fast pathway's frames to the slow pathway's.

    Args:
        channels: Channels of the fast pathway.
        kernel_t: Frames that the convolution covers.
        every: Frames of the fast pathway for each of the slow pathway.
        norm: Whether batch-norm and ReLU follow.
    """

    def __init__(self, channels: int, *, kernel_t: int, every: int, norm: bool) -> None:
        super().__init__()
        self.conv_fast_to_slow = nn.Conv3d(
            channels, HANDS * channels, (kernel_t, 1, 1), (every, 1, 1), (kernel_t // 2, 0, 0), bias=False
        )
        self.norm = nn.BatchNorm3d(HANDS * channels) if norm else None

    def forward(self, fast_BCTHW: Tensor) -> Tensor:
        """The map for the slow pathway."""
        x_BCTHW = self.conv_fast_to_slow(fast_BCTHW)
        return x_BCTHW if self.norm is None else torch.relu_(self.norm(x_BCTHW))


class Pathways(nn.Module):
    """One stage of the slow pathway and of the fast one, and the fusion after it."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: Fusion | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = fusion

    def fuse(self, slow_BCTHW: Tensor, fast_BCTHW: Tensor) -> Tensor:
        """The slow pathway's next input."""
        if self.multipathway_fusion is None:
            return slow_BCTHW
        return torch.cat((slow_BCTHW, self.multipathway_fusion(fast_BCTHW)), dim=1)

    def forward(self, slow_BCTHW: Tensor, fast_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of both pathways, before the fusion."""
        slow, fast = self.multipathway_blocks
        return slow(slow_BCTHW), fast(fast_BCTHW)


def joined(slow_BCTHW: Tensor, fast_BCTHW: Tensor) -> Tensor:
    """Join the maps of both pathways into one, over channels, with the slow pathway's frames.

    Each frame gets the mean of the fast pathway's frames that belong to it. So the joined map's average is
    both pathways' averages, concatenated as in the projects' heads. If the fast pathway's frames cannot be
    shared evenly, some of them belong to two frames.

    >>> slow_BCTHW, fast_BCTHW = torch.ones(1, 1, 2, 1, 1), torch.arange(8.0).view(1, 1, 8, 1, 1)
    >>> joined(slow_BCTHW, fast_BCTHW).flatten().tolist()
    [1.0, 1.0, 1.5, 5.5]
    """
    frames = slow_BCTHW.shape[2]
    means_BCTHW = nn.functional.adaptive_avg_pool3d(fast_BCTHW, (frames, None, None))
    return torch.cat((slow_BCTHW, means_BCTHW), dim=1)


class SlowFast(Backbone):
    """Stems and four stages of two pathways.

    Args:
        spec: The backbone's entry in the catalog; its stage_dims are the widths of both pathways together.
        every: Frames of a clip for each frame of the slow pathway; alpha in section 3.2.
        fusion_t: Frames that the convolutions of the fusions cover.
        fusion_norm: Whether batch-norm and ReLU follow these convolutions.
        slow_frames: A name of `SLOW_FRAMES`.
        depths: Blocks of each stage, in both pathways.
        slow_kernels_t: As `slow.KERNELS_T`, for the slow pathway.
        fast_kernels_t: The same for the fast pathway.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        every: int = 4,
        fusion_t: int = 7,
        fusion_norm: bool = True,
        slow_frames: str = "spread",
        depths: Sequence[int] = DEPTHS,
        slow_kernels_t: Sequence[Sequence[int]] = KERNELS_T,
        fast_kernels_t: Sequence[Sequence[int]] = FAST_KERNELS_T,
    ) -> None:
        super().__init__(spec)
        self._every, self._slow_frames = every, SLOW_FRAMES[slow_frames]
        fast_dims = [dim // (THINS + 1) for dim in spec.stage_dims]
        slow_dims = [THINS * dim for dim in fast_dims]

        def fusion(dim: int) -> Fusion:
            return Fusion(dim, kernel_t=fusion_t, every=every, norm=fusion_norm)

        stems = Pathways(Stem(slow_dims[0], 1), Stem(fast_dims[0], FAST_STEM_T), fusion(fast_dims[0]))
        self.blocks = nn.ModuleList([stems])
        for number, depth in enumerate(depths, start=1):
            slow_in, fast_in = slow_dims[number - 1], fast_dims[number - 1]
            slow, fast = (
                Stage(
                    in_dim,
                    dims[number],
                    depth=depth,
                    kernels_t=kernels_t[number - 1],
                    stride=STRIDES[number - 1],
                    middle="spatial",
                )
                for in_dim, dims, kernels_t in (
                    (slow_in + HANDS * fast_in, slow_dims, slow_kernels_t),
                    (fast_in, fast_dims, fast_kernels_t),
                )
            )
            last = number == len(depths)
            self.blocks.append(Pathways(slow, fast, None if last else fusion(fast_dims[number])))

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Joined maps of the stems, before their pooling, and of the four stages."""
        slow_BCTHW, fast_BCTHW = self._slow_frames(x_BCTHW, self._every), x_BCTHW
        maps: list[Tensor] = []
        for number, pathways in enumerate(cast(Iterable[Pathways], self.blocks)):
            slow_BCTHW, fast_BCTHW = pathways(slow_BCTHW, fast_BCTHW)
            maps.append(joined(slow_BCTHW, fast_BCTHW))
            if number == 0:
                slow_BCTHW, fast_BCTHW = pool_stem(slow_BCTHW), pool_stem(fast_BCTHW)
            slow_BCTHW = pathways.fuse(slow_BCTHW, fast_BCTHW)
        return maps

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """Kaiming's normal distribution over the fan-out, as all three projects draw it."""
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu", generator=generator)
