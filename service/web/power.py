"""The smallest difference that an evaluation's test videos show, and the videos that a smaller one needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vcp_core.catalog.scores import Score
from vcp_core.statistics.power import detectable, videos_needed

LIMITS = (5, 2, 1)  # points; usual limits of a gate


@dataclass(frozen=True, kw_only=True)
class Line:
    """One metric's power, from the interval of its lift. A comparison of checkpoints is paired like a lift.

    Attributes:
        metric: Name of the metric.
        half_width: Half width of the paired interval, points.
        found: The difference that is found in 80 % of cases, points.
        needed: For each of `LIMITS`, the videos that would decide about it.
    """

    metric: str
    half_width: float
    found: float
    needed: tuple[int, ...]


def lines(scores: Iterable[Score]) -> list[Line]:
    """Make a line for each percentage whose lift has an interval.

    The limits are in points, so a plain number has no line.
    """
    made = []
    for score in scores:
        if score.unit != "percent" or score.lift_low is None or score.lift_high is None:
            continue
        found = detectable(score.lift_low, score.lift_high)
        needed = tuple(videos_needed(score.num_videos, found, limit) for limit in LIMITS)
        half_width = (score.lift_high - score.lift_low) / 2
        made.append(Line(metric=score.metric, half_width=half_width, found=found, needed=needed))
    return made
