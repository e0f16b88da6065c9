"""Where clips start: the grid of recognition and retrieval, and the tuples of cloze (PROTOCOL 2 and 3).

Every draw comes from raw PCG64 words, whose stream NumPy guarantees across versions (its `Generator`
methods it does not): a protocol must mean the same tuples in five years.
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
        digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest, "big"))

    def below(self, bound: int) -> int:
        """An integer in [0, bound); the bias is below bound / 2**64."""
        return (int(self._bits.random_raw()) * bound) >> 64

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]


def grid_starts(num_frames: int, num_clips: int, clip_frames: int = 16) -> list[int]:
    """First frames of the grid clips: centres linspace(8, n - 8, num_clips), start = int(centre - 8).

    A video shorter than a clip is looped: all its clips start at 0.

    >>> grid_starts(100, 3)
    [0, 42, 84]
    """
    half = clip_frames / 2
    if num_frames <= clip_frames:
        return [0] * num_clips
    return [int(centre - half) for centre in np.linspace(half, num_frames - half, num_clips)]


@dataclass(frozen=True, kw_only=True)
class TupleShape:
    """Lengths of a cloze tuple, in frames: three clips `gap` apart, a remote clip `remote_gap` away.

    >>> TupleShape().span, TupleShape().min_frames
    (64, 96)
    """

    clip_frames: int = 16
    gap: int = GAP
    remote_gap: int = REMOTE_GAP

    @property
    def stride(self) -> int:
        """From one clip's start to the next one's."""
        return self.clip_frames + self.gap

    @property
    def span(self) -> int:
        """From the first clip's first frame to the third one's last."""
        return 2 * self.stride + self.clip_frames

    @property
    def min_frames(self) -> int:
        """What a video needs for all five options."""
        return self.span + self.remote_gap + self.clip_frames


@dataclass(frozen=True, kw_only=True)
class ClozeTuple:
    """One drawn question: where its clips start, and which variant of every option it shows.

    Attributes:
        starts: First frames of (before, withheld, after).
        remote_start: First frame of the clip that `remote` puts into the blank.
        variants: Variant by option name.
    """

    starts: tuple[int, int, int]
    remote_start: int
    variants: dict[str, str]


def draw_tuple(
    num_frames: int, shape: TupleShape, draws: Draws, options: Sequence[str] = PAPERS_OPTIONS
) -> ClozeTuple | None:
    """Draw a question with a variant of each of `options`; None where the video is too short for `remote`.

    The start is uniform over those that leave room for `remote` on a side, the side uniform over those
    with room, then the remote clip's start uniform on that side.
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
    """A variant of each of `options`, drawn in their order.

    Args:
        draws: Where they come from; an option with one variant takes no draw.
        options: Names of the catalog.
        remote: The variant of "remote", which is drawn with its clip; None leaves "remote" out.

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
