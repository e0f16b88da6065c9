"""Where clips start: the grid of recognition and retrieval, and the tuples of cloze (PROTOCOL 2 and 3).

Every draw comes from raw PCG64 words. NumPy guarantees their stream across versions. It does not guarantee
what the methods of its `Generator` return. A protocol must mean the same tuples in five years.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vcp_core.catalog.options import OPTIONS, PAPERS_OPTIONS
from vcp_core.catalog.training import GAP, REMOTE_GAP

T = TypeVar("T")


class Draws:
    """A seeded source of small uniform integers, the same on every machine and NumPy version.

    Args:
        *key: What the draws belong to, for example (protocol seed, video id, tuple index).

    >>> Draws(0, "a.avi", 0).below(100) == Draws(0, "a.avi", 0).below(100)
    True
    """

    def __init__(self, *key: object) -> None:
        # A NUL between the parts, so that ("a", "bc") and ("ab", "c") differ.
        digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest, "big"))

    def below(self, bound: int) -> int:
        """Draw an integer in [0, bound).

        Multiplying and shifting is not exactly uniform; the bias is below bound / 2**64.
        """
        return (int(self._bits.random_raw()) * bound) >> 64

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of `items`."""
        return items[self.below(len(items))]


def grid_starts(num_frames: int, num_clips: int, clip_frames: int = 16) -> list[int]:
    """List the first frames of `num_clips` clips that are spread evenly over a video.

    The centres of 16-frame clips are linspace(8, num_frames - 8, num_clips), and a clip starts at
    int(centre - 8). A video that is no longer than a clip is looped, so all its clips start at frame 0.

    >>> grid_starts(100, 3)
    [0, 42, 84]
    """
    half = clip_frames / 2
    if num_frames <= clip_frames:
        return [0] * num_clips
    return [int(centre - half) for centre in np.linspace(half, num_frames - half, num_clips)]


@dataclass(frozen=True, kw_only=True)
class TupleShape:
    """Lengths of a cloze tuple, in frames.

    A tuple is three clips with `gap` frames between neighbours. A remote clip lies at least `remote_gap`
    frames before or after the tuple.

    >>> TupleShape().span, TupleShape().min_frames
    (64, 96)
    """

    clip_frames: int = 16
    gap: int = GAP
    remote_gap: int = REMOTE_GAP

    @property
    def stride(self) -> int:
        """Frames from the start of one clip to the start of the next."""
        return self.clip_frames + self.gap

    @property
    def span(self) -> int:
        """Frames of the whole tuple, from the first clip's first frame to the third clip's last."""
        return 2 * self.stride + self.clip_frames

    @property
    def min_frames(self) -> int:
        """The fewest frames of a video that has room for a tuple and a remote clip."""
        return self.span + self.remote_gap + self.clip_frames


@dataclass(frozen=True, kw_only=True)
class ClozeTuple:
    """One drawn cloze question: where its clips start, and which variant of each option it uses.

    Attributes:
        starts: First frames of the clips (before the blank, withheld, after the blank).
        remote_start: First frame of the clip that the option `remote` puts into the blank.
        variants: The variant of each option, by the option's name.
    """

    starts: tuple[int, int, int]
    remote_start: int
    variants: dict[str, str]


def draw_tuple(
    num_frames: int, shape: TupleShape, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> ClozeTuple | None:
    """Draw a question with a variant of each of `options`.

    The tuple's start is uniform over all starts that leave room for the remote clip before or after the
    tuple. Then the side of the remote clip is uniform over the sides with room. Then the remote clip's start
    is uniform on that side.

    Args:
        num_frames: Frames of the video.
        shape: Lengths of the tuple.
        draws: The source of all three draws and of the variants.
        options: Names of options in the catalog.

    Returns:
        The question; None where the video is too short for a remote clip.

    Raises:
        UnknownName: If there is no such option.

    >>> question = draw_tuple(96, TupleShape(), Draws(0, "a.avi", 0))
    >>> question.starts[1] - question.starts[0]
    24
    >>> draw_tuple(80, TupleShape(), Draws(0, "a.avi", 0)) is None
    True
    """
    clip, span, away = shape.clip_frames, shape.span, shape.clip_frames + shape.remote_gap
    starts = [
        start for start in range(num_frames - span + 1) if start >= away or start + span + away <= num_frames
    ]
    if not starts:
        return None
    start = draws.choice(starts)
    end = start + span
    sides = [("before", start >= away), ("after", end + away <= num_frames)]
    side = draws.choice([name for name, has_room in sides if has_room])
    if side == "before":
        remote_start = draws.below(start - away + 1)
        distance = start - (remote_start + clip)
    else:
        remote_start = end + shape.remote_gap + draws.below(num_frames - end - away + 1)
        distance = remote_start - end
    variants = draw_variants(draws, options, remote=f"{side}:{distance}")
    return ClozeTuple(
        starts=(start, start + shape.stride, start + 2 * shape.stride),
        remote_start=remote_start,
        variants=variants,
    )


def draw_variants(draws: Draws, options: Sequence[str], *, remote: str | None) -> dict[str, str]:
    """Draw a variant of each of `options`, in their order.

    Args:
        draws: The source of the draws. An option with one variant takes no draw.
        options: Names of options in the catalog.
        remote: The variant of "remote", which `draw_tuple` draws with the remote clip; None leaves "remote"
            out.

    Raises:
        UnknownName: If there is no such option.

    >>> list(draw_variants(Draws(0), ["original", "rotation", "remote"], remote=None))
    ['original', 'rotation']
    """
    variants = {}
    for name in options:
        known = OPTIONS[name].variants
        if name == "remote":
            if remote is not None:
                variants[name] = remote
        else:
            variants[name] = known[0] if len(known) == 1 else draws.choice(known)
    return variants
