"""Augmentation: colour jitter and mirroring of a whole example, on its device.

All clips of an example change alike, so that no augmentation says anything about an answer.

Legend: N clips, T frames, H height, W width, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vcp_core.video.clips import Draws

GREY = 127.5
STEPS = 1000  # of the numbers that are drawn


class Augmentation(NamedTuple):
    """How an example's colours and sides are changed.

    Attributes:
        mirrored: Whether left and right change places.
        order: Which channel becomes red, green and blue.
        gains: Contrast of each, around mid grey.
        shifts: Added to each, in grey levels of 255.
    """

    mirrored: bool = False
    order: tuple[int, int, int] = (0, 1, 2)
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shifts: tuple[float, float, float] = (0.0, 0.0, 0.0)


UNCHANGED = Augmentation()
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def draw_augmentation(draws: Draws) -> Augmentation:
    """Mirrored or not, channels in any order, contrast of 0.5 to 1.5, brightness by up to 40 grey levels."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * draws.below(STEPS + 1) / STEPS

    return Augmentation(
        mirrored=draws.below(2) == 1,
        order=draws.choice(_ORDERS),
        gains=(between(0.5, 1.5), between(0.5, 1.5), between(0.5, 1.5)),
        shifts=(between(-40, 40), between(-40, 40), between(-40, 40)),
    )


class Augmentations(NamedTuple):
    """The augmentations of a batch's clips."""

    mirrored_N: Tensor
    order_NC: Tensor
    gain_NC: Tensor
    shift_NC: Tensor

    @classmethod
    def of(cls, augmentations: Sequence[Augmentation]) -> Augmentations:
        """One for each clip."""
        return cls(
            torch.tensor([augmentation.mirrored for augmentation in augmentations]),
            torch.tensor([augmentation.order for augmentation in augmentations]),
            torch.tensor([augmentation.gains for augmentation in augmentations]),
            torch.tensor([augmentation.shifts for augmentation in augmentations]),
        )

    def to(self, device: torch.device) -> Augmentations:
        """The same on a device."""
        return Augmentations(*(tensor.to(device, non_blocking=True) for tensor in self))

    def __call__(self, clips_NTHWC: Tensor) -> Tensor:
        """The clips, uint8, augmented."""
        order, gain, shift = (
            values_NC[:, None, None, None] for values_NC in (self.order_NC, self.gain_NC, self.shift_NC)
        )
        seen = clips_NTHWC.gather(4, order.expand(clips_NTHWC.shape)).float()
        seen = seen.sub_(GREY).mul_(gain).add_(GREY + shift).clamp_(0, 255).round_().to(torch.uint8)
        return torch.where(self.mirrored_N[:, None, None, None, None], seen.flip(3), seen)
