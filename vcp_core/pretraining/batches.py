"""Batches of examples' pixels. Threads read them ahead; batches come in the order of the examples.

Legend: B examples, K clips of an example, N distinct clips of a batch, T frames, H height, W width,
C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from vcp_core.features.reading import ahead
from vcp_core.pretraining.augmentation import UNCHANGED, Augmentation, Augmentations
from vcp_core.pretraining.examples import BLANK, Example
from vcp_core.pretraining.frames import Cutting, Frames

BATCHES_AHEAD = 4  # 14 MB each at batch 8, three clips of 16 x 112 x 112


class Batch(NamedTuple):
    """Pixels and answers of some examples. A clip that several examples show is stored once.

    Attributes:
        examples: The examples.
        clips_NTHWC: The distinct clips, uint8.
        clip_indices_BK: Indices of the clips that each example shows, in the example's order.
        answers_B: The right answers.
        rearrangements_B: The changes of the blanks, indices in `REARRANGEMENTS`.
        augmentations: The augmentation of every clip, applied before the rearrangement; None if no clip has
            one.
    """

    examples: tuple[Example, ...]
    clips_NTHWC: Tensor
    clip_indices_BK: Tensor
    answers_B: Tensor
    rearrangements_B: Tensor
    augmentations: Augmentations | None

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device."""
        clips, clip_indices, answers, rearrangements = (
            tensor.to(device, non_blocking=True)
            for tensor in (self.clips_NTHWC, self.clip_indices_BK, self.answers_B, self.rearrangements_B)
        )
        augmentations = self.augmentations.to(device) if self.augmentations else None
        return Batch(self.examples, clips, clip_indices, answers, rearrangements, augmentations)


def iter_batches(
    groups: Iterable[Sequence[Example]],
    frames: Frames,
    *,
    offsets: Sequence[int],
    size: tuple[int, int],
    workers: int,
) -> Iterator[Batch]:
    """Make a batch of every group of examples: frames at `offsets` from each start, cropped to `size` (H, W).

    Raises:
        UndecodableVideo: As `FrameStore.read`.
        StorageError: As `FrameStore.read`.

    >>> from types import SimpleNamespace
    >>> from vcp_core.datasets.manifest import Video
    >>> from vcp_core.pretraining.examples import Crop
    >>> video = Video(id="a.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=96)
    >>> examples = [Example(video, (0, 24, 48), Crop(8, 30), answer, answer) for answer in (0, 1)]
    >>> def black(clips, frames, size):
    ...     return torch.zeros(len(clips), len(frames), *size, 3, dtype=torch.uint8)
    >>> frames = SimpleNamespace(cut=black)
    >>> (batch,) = iter_batches([examples], frames, offsets=range(16), size=(8, 8), workers=1)
    >>> tuple(batch.clips_NTHWC.shape), batch.clip_indices_BK.tolist()  # blanks are not shared
    ((4, 16, 8, 8, 3), [[0, 1, 2], [0, 3, 2]])
    """

    def read(examples: Sequence[Example]) -> Batch:
        cuttings, augmentations, clip_indices = _distinct(examples)
        return Batch(
            tuple(examples),
            frames.cut(cuttings, offsets, size),
            torch.tensor(clip_indices),
            torch.tensor([example.answer for example in examples]),
            torch.tensor([example.rearrangement for example in examples]),
            Augmentations.of(augmentations)
            if any(augmentation != UNCHANGED for augmentation in augmentations)
            else None,
        )

    with ThreadPoolExecutor(workers, thread_name_prefix="frames") as pool:
        yield from ahead(pool, read, groups, BATCHES_AHEAD)


def _distinct(examples: Sequence[Example]) -> tuple[list[Cutting], list[Augmentation], list[list[int]]]:
    """The distinct clips, and each example's indices. A blank is never shared: it is changed in place."""
    cuttings: list[Cutting] = []
    augmentations: list[Augmentation] = []
    known: dict[tuple[str, int, int, int, Augmentation], int] = {}
    clip_indices = []
    for example in examples:
        mine = []
        for number, start in enumerate(example.starts):
            cutting = Cutting(example.video, start, example.crop)
            index = len(cuttings)
            if number != BLANK:
                index = known.setdefault(
                    (example.video.id, start, *example.crop, example.augmentation), index
                )
            if index == len(cuttings):
                cuttings.append(cutting)
                augmentations.append(example.augmentation)
            mine.append(index)
        clip_indices.append(mine)
    return cuttings, augmentations, clip_indices
