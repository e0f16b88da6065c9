"""Ranges of seconds, and the rates that an estimate multiplies its counts by. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """A range of seconds, from low to high.

    >>> Span(1.0, 2.0) + Span(0.5, 4.0).times(2)
    Span(low=2.0, high=10.0)
    """

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Span:
        """The middle half of measured values: from the first quartile to the third.

        >>> Span.of([1.0, 2.0, 3.0, 4.0, 100.0])
        Span(low=2.0, high=4.0)
        """
        low, high = np.quantile(values, (0.25, 0.75))
        return cls(float(low), float(high))

    @classmethod
    def about(cls, value: float, factor: float) -> Span:
        """From the `factor`-th part of a value to `factor` times it.

        >>> Span.about(6.0, 2.0)
        Span(low=3.0, high=12.0)
        """
        return cls(value / factor, value * factor)

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Span:
        """The range of `factor` such pieces."""
        return Span(self.low * factor, self.high * factor)

    @property
    def middle(self) -> float:
        """The middle of the range."""
        return (self.low + self.high) / 2


NOTHING = Span(0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of each piece of work, as measured.

    Attributes:
        frame_s: Of one decoded frame, with all decoding threads at work.
        clip_s: Of one clip in the network.
        pixel_clip_s: Of one clip in the pixel baseline.
        unit_s: Of one row x column x fit of a linear probe.
        pixel_unit_s: The same for the pixel baseline; None if it is as `unit_s`.
        fit_s: Of one fit, whatever its size.
        pair_s: Of one gallery row that one query ranks.
        shard_s: Of a shard beside decoding and forwarding: a job starts a process and fetches files.
        once_s: Of reading the checkpoint. An evaluation loads the dataset meanwhile, so it may wait less.
        in_turns: Whether the network waits while frames are decoded, or `frame_s` is only the time that it
            waited. Then the times of both add up.
        process_bytes: Memory of the process that forwarded a batch; None if nobody measured it.
    """

    frame_s: Span
    clip_s: Span
    pixel_clip_s: Span
    unit_s: Span
    pixel_unit_s: Span | None = None
    fit_s: Span = NOTHING
    pair_s: Span = NOTHING
    shard_s: Span = NOTHING
    once_s: float = 0.0
    in_turns: bool = False
    process_bytes: int | None = None
