"""The options of a whole batch at once, on its device: two tables of indices and one gather.

The tables are made by `vcp_core.operations` from a picture of its own indices, so that there is one
definition of what an option does.

Legend: B clips, T frames, H height, W width, C channels, P = H x W pixels, S spatial and E temporal
rearrangements.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vcp_core.operations import apply_option
from vcp_core.pretraining.examples import SPATIAL, TEMPORAL


class Rearrangements:
    """All rearrangements of clips of one shape.

    Args:
        clip_frames: T.
        size: (H, W).
        device: Where the clips will be.

    Raises:
        OperationError: If a rearrangement does not keep this shape.
    """

    def __init__(self, clip_frames: int, size: tuple[int, int], device: torch.device) -> None:
        height, width = size
        picture = torch.arange(height * width).reshape(1, 1, height, width)
        order = torch.arange(clip_frames).reshape(1, clip_frames, 1, 1)
        self._pixels_SP = torch.stack([apply_option(picture, *one).flatten() for one in SPATIAL]).to(device)
        self._frames_ET = torch.stack([apply_option(order, *one).flatten() for one in TEMPORAL]).to(device)

    def __call__(self, clips_BTHWC: Tensor, spatial_B: Tensor, temporal_B: Tensor) -> Tensor:
        """Every clip rearranged in its own way.

        Args:
            clips_BTHWC: Any dtype.
            spatial_B: Places in `SPATIAL`.
            temporal_B: Places in `TEMPORAL`.
        """
        batch_B11 = torch.arange(len(clips_BTHWC), device=clips_BTHWC.device)[:, None, None]
        frames_BT1 = self._frames_ET[temporal_B][:, :, None]
        pixels_B1P = self._pixels_SP[spatial_B][:, None, :]
        return clips_BTHWC.flatten(2, 3)[batch_B11, frames_BT1, pixels_B1P].reshape(clips_BTHWC.shape)
