"""The options of a whole batch at once, on its device: two tables of indices and one gather.

The tables are made by applying `vcp_core.video.operations` to a clip whose pixels are their own indices. So
an option has only one definition.

Legend: B clips, T frames, H height, W width, C channels, P = H x W pixels, R rearrangements.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vcp_core.catalog.errors import OperationError
from vcp_core.pretraining.examples import REARRANGEMENTS
from vcp_core.video.operations import apply_option


class Rearrangements:
    """All rearrangements of clips of one shape.

    Args:
        clip_frames: T.
        size: (H, W).
        device: Where the clips will be.

    Raises:
        OperationError: If a rearrangement changes the shape, or moves the pixels of two frames differently.
    """

    def __init__(self, clip_frames: int, size: tuple[int, int], device: torch.device) -> None:
        found = [_tables(option, variant, clip_frames, size) for option, variant in REARRANGEMENTS]
        self._frames_RT = torch.stack([frames_T for frames_T, _ in found]).to(device)
        self._pixels_RP = torch.stack([pixels_P for _, pixels_P in found]).to(device)

    def __call__(self, clips_BTHWC: Tensor, rearrangements_B: Tensor) -> Tensor:
        """Every clip rearranged in its own way.

        Args:
            clips_BTHWC: Any dtype.
            rearrangements_B: Indices in `REARRANGEMENTS`.
        """
        batch_B11 = torch.arange(len(clips_BTHWC), device=clips_BTHWC.device)[:, None, None]
        frames_BT1 = self._frames_RT[rearrangements_B][:, :, None]
        pixels_B1P = self._pixels_RP[rearrangements_B][:, None, :]
        return clips_BTHWC.flatten(2, 3)[batch_B11, frames_BT1, pixels_B1P].reshape(clips_BTHWC.shape)


def _tables(option: str, variant: str, clip_frames: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The source index of each frame (T), and of each pixel within a frame (P)."""
    height, width = size
    picture_CTHW = torch.arange(clip_frames * height * width).reshape(1, clip_frames, height, width)
    source_TP = apply_option(picture_CTHW, option, variant).reshape(clip_frames, height * width)
    frames_T, pixels_P = source_TP[:, 0] // (height * width), source_TP[0] % (height * width)
    if not torch.equal(source_TP, frames_T[:, None] * (height * width) + pixels_P):
        raise OperationError(
            f"{option!r} moves the pixels of two frames differently, which pretraining cannot do. "
            "Write it as one order of the frames and one order of a frame's pixels."
        )
    return frames_T, pixels_P
