"""Examples' pixels, read ahead in threads and put into batches in the order that was asked for.

Legend: B examples, K clips of an example, N distinct clips of a batch, T frames, H height, W width,
C channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vcp_core.datasets.manifest import Video
from vcp_core.features import ahead
from vcp_core.pretraining.examples import BLANK, Crop, Example
from vcp_core.pretraining.frames import FrameStore

BATCHES_AHEAD = 4  # 14 MB each at batch 8, three clips of 16 x 112 x 112


class Batch(NamedTuple):
    """Pixels and answers of some examples; a clip that several of them show is there once.

    Attributes:
        examples: Whose.
        clips_NTHWC: uint8.
        places_BK: Which of them an example shows, in its order.
        answers_B: The right ones.
        spatial_B: What is done to the blanks' frames.
        temporal_B: What is done to the blanks' order.
    """

    examples: tuple[Example, ...]
    clips_NTHWC: Tensor
    places_BK: Tensor
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
        clips, places = _distinct(examples)
        return Batch(
            tuple(examples),
            torch.from_numpy(_pixels(clips, frames, offsets, size)),
            torch.tensor(places),
            torch.tensor([example.answer for example in examples]),
            torch.tensor([example.spatial for example in examples]),
            torch.tensor([example.temporal for example in examples]),
        )

    with ThreadPoolExecutor(workers, thread_name_prefix="frames") as pool:
        yield from ahead(pool, read, groups, BATCHES_AHEAD)


def _distinct(examples: Sequence[Example]) -> tuple[list[_Clip], list[list[int]]]:
    """The clips of all examples, and the places of each example's; every blank is a clip of its own."""
    clips: list[_Clip] = []
    known: dict[tuple[str, int, Crop], int] = {}
    places = []
    for example in examples:
        mine = []
        for number, start in enumerate(example.starts):
            clip = _Clip(example.video, start, example.crop)
            place = len(clips) if number == BLANK else known.setdefault(clip.key, len(clips))
            if place == len(clips):
                clips.append(clip)
            mine.append(place)
        places.append(mine)
    return clips, places


class _Clip(NamedTuple):
    video: Video
    start: int
    crop: Crop

    @property
    def key(self) -> tuple[str, int, Crop]:
        return self.video.id, self.start, self.crop


def _pixels(
    clips: Sequence[_Clip], frames: FrameStore, offsets: Sequence[int], size: tuple[int, int]
) -> np.typing.NDArray[np.uint8]:
    height, width = size
    cut = []
    for video, own in itertools.groupby(clips, key=lambda clip: clip.video):
        wanted = list(own)
        read = frames.read(video, [clip.start for clip in wanted], offsets)
        for clip, pixels_THWC in zip(wanted, read, strict=True):
            top, left = clip.crop
            cut.append(pixels_THWC[:, top : top + height, left : left + width])
    return np.stack(cut)
