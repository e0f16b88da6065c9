"""Training examples: their clips, crop and option (PROTOCOL 3, 4 and 7).

Every random draw depends only on (seed, purpose, epoch, video). So an epoch shows the same examples with any
number of workers, and after any interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vcp_core.catalog.options import OPTIONS, PAPERS_OPTIONS
from vcp_core.datasets.manifest import Video
from vcp_core.pretraining.augmentation import UNCHANGED, Augmentation
from vcp_core.video.clips import Draws, TupleShape, draw_tuple, draw_variants

# All changes of a blank's pixels, as (option, variant). An example holds an index into this tuple.
REARRANGEMENTS = (
    ("original", ""),
    *((spec.name, variant) for spec in OPTIONS.values() if spec.operation for variant in spec.variants),
)
BLANK = 1  # index of the withheld clip among a tuple's three


class Crop(NamedTuple):
    """Top left corner, in pixels, of the part of a resized frame that the network sees."""

    top: int
    left: int


class Example(NamedTuple):
    """Clips of one video, one crop for all of them, and the right answer.

    Attributes:
        video: The video of all clips.
        starts: First frame of each clip. For a remote option the blank's start is the remote clip's.
        crop: The crop of every frame.
        answer: Index of the right answer among the task's answers.
        rearrangement: The change of the blank's pixels, an index in `REARRANGEMENTS`.
        augmentation: The augmentation of all clips.
    """

    video: Video
    starts: tuple[int, ...]
    crop: Crop
    answer: int
    rearrangement: int = 0
    augmentation: Augmentation = UNCHANGED


def shuffled(videos: Sequence[Video], seed: int, epoch: int) -> list[Video]:
    """The videos in the order of an epoch.

    >>> videos = [
    ...     Video(id=f"{name}.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=96)
    ...     for name in "abcd"
    ... ]
    >>> shuffled(videos, 0, epoch=1) == shuffled(videos[::-1], 0, epoch=1)
    True
    >>> shuffled(videos, 0, epoch=1) == shuffled(videos, 0, epoch=2)
    False
    """
    # The id decides where two videos draw the same number.
    return sorted(videos, key=lambda video: (Draws(seed, "order", epoch, video.id).below(1 << 62), video.id))


def draw_crop(draws: Draws, frame: tuple[int, int], size: tuple[int, int]) -> Crop:
    """Draw the place of a crop of `size` in a frame; both are (height, width).

    >>> draw_crop(Draws("a"), (112, 112), (112, 112))
    Crop(top=0, left=0)
    >>> crop = draw_crop(Draws("a"), (128, 171), (112, 112))
    >>> 0 <= crop.top <= 16, 0 <= crop.left <= 59
    (True, True)
    """
    return Crop(draws.below(frame[0] - size[0] + 1), draws.below(frame[1] - size[1] + 1))


def draw_question(
    video: Video, shape: TupleShape, crop: Crop, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> Example:
    """Draw a cloze tuple with one random option. A video too short for `remote` gets another option.

    Raises:
        ValueError: If the video is shorter than a tuple.

    >>> video = Video(id="a.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=64)
    >>> drawn = [draw_question(video, TupleShape(), Crop(8, 30), Draws(epoch)) for epoch in range(30)]
    >>> sorted({PAPERS_OPTIONS[example.answer] for example in drawn})  # 64 frames have no room for "remote"
    ['adjacent', 'original', 'permutation', 'rotation']
    """
    return draws.choice(all_options(video, shape, crop, draws, options))


def all_options(
    video: Video, shape: TupleShape, crop: Crop, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> list[Example]:
    """Draw a cloze tuple, and show it with each of `options` that the video is long enough for.

    Args:
        video: The video of all clips.
        shape: Lengths of the tuple.
        crop: The crop of every frame.
        draws: The source of random starts and variants.
        options: The answers; an example's answer is its option's index among them.

    Raises:
        UnknownName: If there is no such option.
        ValueError: If the video is shorter than a tuple.

    >>> video = Video(id="a.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=96)
    >>> shown = all_options(video, TupleShape(), Crop(8, 30), Draws("a"))
    >>> [PAPERS_OPTIONS[example.answer] for example in shown]
    ['original', 'rotation', 'permutation', 'remote', 'adjacent']
    >>> len({(example.starts[0], example.starts[2]) for example in shown})
    1
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
    """Draw one clip at a random start.

    >>> video = Video(id="a.mp4", label="a", split="train", group=None, sha256="0" * 64, num_frames=10)
    >>> draw_clip(video, 16, Crop(8, 30), 2, Draws("a")).starts  # shorter than a clip, so looped
    (0,)
    """
    start = draws.below(max(1, video.num_frames - clip_span + 1))
    return Example(video=video, starts=(start,), crop=crop, answer=answer)
