"""Augmentation: colour jitter and mirroring of a whole example, on its device.

All clips of an example change in the same way, so that an augmentation cannot reveal the answer.

Legend: N clips, T frames, H height, W width, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vcp_core.video.clips import Draws

GREY = 127.5  # mid grey of 0 to 255
STEPS = 1000  # steps between the ends of a range that a number is drawn from


class Augmentation(NamedTuple):
    """The change of an example's colours and sides.

    Attributes:
        mirrored: Whether left and right are swapped.
        order: Indices of the channels that become red, green and blue.
        gains: Contrast of each channel, around mid grey.
        shifts: Added to each channel, in grey levels of 255.
    """

    mirrored: bool = False
    order: tuple[int, int, int] = (0, 1, 2)
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shifts: tuple[float, float, float] = (0.0, 0.0, 0.0)


UNCHANGED = Augmentation()
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def draw_augmentation(draws: Draws) -> Augmentation:
    """Draw mirroring, channel order, contrast from 0.5 to 1.5, and a shift of up to 40 grey levels.

    >>> drawn = draw_augmentation(Draws("a"))
    >>> drawn.order, all(0.5 <= gain <= 1.5 for gain in drawn.gains)
    ((2, 1, 0), True)
    >>> drawn == draw_augmentation(Draws("a"))
    True
    """

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
        """Stack the augmentations of a batch, one for each clip."""
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
        """The augmented clips, uint8."""
        order, gain, shift = (
            values_NC[:, None, None, None] for values_NC in (self.order_NC, self.gain_NC, self.shift_NC)
        )
        seen = clips_NTHWC.gather(4, order.expand(clips_NTHWC.shape)).float()
        # Rounded, because a conversion to uint8 cuts the fraction off.
        seen = seen.sub_(GREY).mul_(gain).add_(GREY + shift).clamp_(0, 255).round_().to(torch.uint8)
        return torch.where(self.mirrored_N[:, None, None, None, None], seen.flip(3), seen)
