"""What a network is shown in training: which clips, which crop, which option (PROTOCOL 3, 4 and 7).

Every draw belongs to (seed, what it is for, epoch, video), so neither the number of workers nor where a run
was killed changes what an epoch shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vcp_core.catalog.options import OPTIONS, PAPERS_OPTIONS
from vcp_core.datasets.manifest import Video
from vcp_core.pretraining.augmentation import UNCHANGED, Augmentation
from vcp_core.video.clips import Draws, TupleShape, draw_tuple, draw_variants

# Everything that can be done to a blank's pixels, as (option, variant); an example names it by its index.
REARRANGEMENTS = (
    ("original", ""),
    *((spec.name, variant) for spec in OPTIONS.values() if spec.operation for variant in spec.variants),
)
BLANK = 1  # index of the withheld clip among a tuple's three


class Crop(NamedTuple):
    """Top and left of the part of a resized frame that the network sees, in pixels."""

    top: int
    left: int


class Example(NamedTuple):
    """Clips of one video, one crop for all of them, and the right answer.

    Attributes:
        video: Whose frames.
        starts: First frames of its clips; of a remote option, the remote clip's in the blank's place.
        crop: Of every frame.
        answer: Index among the task's answers.
        rearrangement: What is done to the blank's pixels, an index in `REARRANGEMENTS`.
        augmentation: Of all its clips.
    """

    video: Video
    starts: tuple[int, ...]
    crop: Crop
    answer: int
    rearrangement: int = 0
    augmentation: Augmentation = UNCHANGED


def shuffled(videos: Sequence[Video], seed: int, epoch: int) -> list[Video]:
    """The order of an epoch."""
    return sorted(videos, key=lambda video: (Draws(seed, "order", epoch, video.id).below(1 << 62), video.id))


def draw_crop(draws: Draws, frame: tuple[int, int], size: tuple[int, int]) -> Crop:
    """A crop of `size` anywhere in a frame, both (height, width)."""
    return Crop(draws.below(frame[0] - size[0] + 1), draws.below(frame[1] - size[1] + 1))


def draw_question(
    video: Video, shape: TupleShape, crop: Crop, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> Example:
    """A cloze tuple with one random option; a video too short for `remote` draws from the others.

    Raises:
        ValueError: If the video is shorter than a tuple.
    """
    return draws.choice(all_options(video, shape, crop, draws, options))


def all_options(
    video: Video, shape: TupleShape, crop: Crop, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> list[Example]:
    """A random cloze tuple with each of `options` that the video is long enough for.

    Args:
        video: Whose frames.
        shape: Lengths of the tuple.
        crop: Of every frame.
        draws: Where starts and variants come from.
        options: The answers; an example's answer is its option's index among them.

    Raises:
        UnknownName: If there is no such option.
        ValueError: If the video is shorter than a tuple.
    """
    if video.num_frames < shape.span:
        raise ValueError(f"{video.id} has {video.num_frames} frames; a tuple has {shape.span}.")
    drawn = draw_tuple(video.num_frames, shape, draws, options)
    if drawn is not None:
        starts, variants = drawn.starts, drawn.variants
    else:
        first = draws.below(video.num_frames - shape.span + 1)
        starts = (first, first + shape.stride, first + 2 * shape.stride)
        variants = draw_variants(draws, options, remote=None)
    shown = []
    for answer, option in enumerate(options):
        if option not in variants:  # remote, in a video that is too short for it
            continue
        remote = option == "remote"
        blank = drawn.remote_start if drawn is not None and remote else starts[BLANK]
        shown.append(
            Example(
                video=video,
                starts=(starts[0], blank, starts[2]),
                crop=crop,
                answer=answer,
                rearrangement=0 if remote else REARRANGEMENTS.index((option, variants[option])),
            )
        )
    return shown


def draw_clip(video: Video, clip_span: int, crop: Crop, answer: int, draws: Draws) -> Example:
    """One clip at a random start."""
    start = draws.below(max(1, video.num_frames - clip_span + 1))
    return Example(video=video, starts=(start,), crop=crop, answer=answer)
