"""Augmentation by looks: colour jitter and mirroring of a whole example, on its device.

All clips of an example change alike, so that no look says anything about an answer.

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


class Look(NamedTuple):
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


AS_IT_IS = Look()
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def draw_look(draws: Draws) -> Look:
    """Mirrored or not, channels in any order, contrast of 0.5 to 1.5, brightness by up to 40 grey levels."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * draws.below(STEPS + 1) / STEPS

    return Look(
        mirrored=draws.below(2) == 1,
        order=draws.choice(_ORDERS),
        gains=(between(0.5, 1.5), between(0.5, 1.5), between(0.5, 1.5)),
        shifts=(between(-40, 40), between(-40, 40), between(-40, 40)),
    )


class Looks(NamedTuple):
    """The looks of a batch's clips."""

    mirrored_N: Tensor
    order_NC: Tensor
    gain_NC: Tensor
    shift_NC: Tensor

    @classmethod
    def of(cls, looks: Sequence[Look]) -> Looks:
        """A clip's look each."""
        return cls(
            torch.tensor([look.mirrored for look in looks]),
            torch.tensor([look.order for look in looks]),
            torch.tensor([look.gains for look in looks]),
            torch.tensor([look.shifts for look in looks]),
        )

    def to(self, device: torch.device) -> Looks:
        """The same on a device."""
        return Looks(*(tensor.to(device, non_blocking=True) for tensor in self))

    def __call__(self, clips_NTHWC: Tensor) -> Tensor:
        """The clips, uint8, as they look now."""
        order, gain, shift = (
            values_NC[:, None, None, None] for values_NC in (self.order_NC, self.gain_NC, self.shift_NC)
        )
        seen = clips_NTHWC.gather(4, order.expand(clips_NTHWC.shape)).float()
        seen = seen.sub_(GREY).mul_(gain).add_(GREY + shift).clamp_(0, 255).round_().to(torch.uint8)
        return torch.where(self.mirrored_N[:, None, None, None, None], seen.flip(3), seen)
