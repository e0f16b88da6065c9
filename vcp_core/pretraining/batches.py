"""Examples' pixels, read ahead in threads and put into batches in the order that was asked for.

Legend: B examples, K clips of an example, T frames, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vcp_core.features import ahead
from vcp_core.pretraining.examples import Example
from vcp_core.pretraining.frames import FrameStore

BATCHES_AHEAD = 4  # 14 MB each at batch 8, three clips of 16 x 112 x 112


class Batch(NamedTuple):
    """Pixels and answers of some examples."""

    examples: tuple[Example, ...]
    pixels_BKTHWC: Tensor
    answers_B: Tensor
    spatial_B: Tensor
    temporal_B: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(self.examples, *(tensor.to(device, non_blocking=True) for tensor in self[1:]))


def iter_batches(
    groups: Iterable[Sequence[Example]],
    frames: FrameStore,
    *,
    offsets: Sequence[int],
    size: tuple[int, int],
    workers: int,
) -> Iterator[Batch]:
    """A batch for every group of examples: frames at `offsets` from each start, cropped to `size` (H, W).

    Raises:
        UndecodableVideo: As `FrameStore.read`.
        StorageError: As `FrameStore.read`.
    """

    def read(examples: Sequence[Example]) -> Batch:
        pixels_BKTHWC = np.stack([_clips(example, frames, offsets, size) for example in examples])
        return Batch(
            tuple(examples),
            torch.from_numpy(pixels_BKTHWC),
            torch.tensor([example.answer for example in examples]),
            torch.tensor([example.spatial for example in examples]),
            torch.tensor([example.temporal for example in examples]),
        )

    with ThreadPoolExecutor(workers, thread_name_prefix="frames") as pool:
        yield from ahead(pool, read, groups, BATCHES_AHEAD)


def _clips(
    example: Example, frames: FrameStore, offsets: Sequence[int], size: tuple[int, int]
) -> np.typing.NDArray[np.uint8]:
    top, left = example.crop
    clips = frames.read(example.video, example.starts, offsets)
    return np.stack([clip[:, top : top + size[0], left : left + size[1]] for clip in clips])
