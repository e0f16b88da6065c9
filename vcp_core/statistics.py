"""Intervals and comparisons, all from per-video outcomes (PROTOCOL 5). NumPy and SciPy only.

Legend: N outcomes (rows), R resamples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Array = npt.NDArray[np.float64]
MIN_GROUPS = 5  # with fewer on the test side, videos are resampled instead; PROTOCOL 5


@dataclass(frozen=True, kw_only=True)
class Units:
    """What is resampled as a whole.

    Attributes:
        ids: The unit of every row.
        kind: Groups where the dataset has enough of them, else videos.
        warning: Why not groups, where there are some.
    """

    ids: tuple[str, ...]
    kind: Literal["group", "video"]
    warning: str | None = None

    @property
    def num_units(self) -> int:
        """Distinct units."""
        return len(set(self.ids))

    def num_behind(self, counts_N: npt.NDArray[np.bool_] | None) -> int:
        """Distinct units of the rows that count; of all where None."""
        return self.num_units if counts_N is None else len(set(itertools.compress(self.ids, counts_N)))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends of a confidence interval, fractions."""

    low: float
    high: float


def choose_units(videos: Sequence[str], groups: Sequence[str | None]) -> Units:
    """Groups where every row has one and there are at least five, else videos.

    Clips of one source video are not independent, so groups come first; but a handful of them cannot say
    how much another handful would differ.
    """
    known = {group for group in groups if group is not None}
    if None not in groups and len(known) >= MIN_GROUPS:
        return Units(ids=tuple(str(group) for group in groups), kind="group")
    warning = None
    if known:
        plural = "group" if len(known) == 1 else "groups"
        warning = (
            f"{len(known)} {plural} on the test side: intervals resample videos, "
            "and say nothing about how other groups would differ"
        )
    return Units(ids=tuple(videos), kind="video", warning=warning)


def resampling_weights(units_N: Sequence[str], *, num_resamples: int, seed: int) -> Array:
    """How often each row counts in each bootstrap resample of whole units, (R, N).

    Units are taken in the order of their names, so the order in which rows arrive changes nothing.
    """
    names, unit_of_N = np.unique(np.asarray(units_N), return_inverse=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    chances = np.full(len(names), 1 / len(names))
    counts = generator.multinomial(len(names), chances, size=num_resamples)
    return counts[:, unit_of_N].astype(np.float64)


def interval(estimate: float, values_R: Array, *, num_units: int, level: float) -> Interval:
    """Wilson's interval with the effective sample size that the bootstrap finds.

    The bootstrap over units gives the variance of the estimate, and p (1 - p) / variance the number of
    independent outcomes that would vary as much; Wilson's interval for so many, with Student's t for few
    units, then behaves at the ends of the scale: nine of nine right is [63, 100], where percentiles would say
    [100, 100]. Coverage of both: docs/decisions/2026-11-23-intervals.md.

    Args:
        estimate: The score, a fraction in [0, 1].
        values_R: The score under every resample; NaN where none of its rows was drawn.
        num_units: Units that the score stands on.
        level: Nominal coverage.

    >>> found = interval(1.0, np.ones(100), num_units=9, level=0.95)
    >>> round(found.low, 2), round(found.high, 2)
    (0.63, 1.0)
    """
    quantile, variance = _spread(values_R, num_units, level)
    outcome_variance = estimate * (1 - estimate)
    # All units alike: they are all the evidence there is.
    alike = variance <= 0 or outcome_variance <= 0
    effective = num_units if alike else outcome_variance / variance
    pull = quantile**2 / effective
    centre = (estimate + pull / 2) / (1 + pull)
    half = np.sqrt(outcome_variance * pull + pull**2 / 4) / (1 + pull)
    return Interval(low=max(0.0, float(centre - half)), high=min(1.0, float(centre + half)))


def difference_interval(difference: float, values_R: Array, *, num_units: int, level: float) -> Interval:
    """Student's interval of a paired difference, by the variance that the bootstrap finds.

    Args:
        difference: Of two scores on the same rows, a fraction in [-1, 1].
        values_R: The difference under every resample; NaN where one of the two has none.
        num_units: Units that the difference stands on.
        level: Nominal coverage.

    No unit that differs is no proof that none would: the interval then reaches as far as the share of
    differing units that Wilson's interval allows after seeing none.
    """
    quantile, variance = _spread(values_R, num_units, level)
    unseen = quantile**2 / (num_units + quantile**2)
    half = quantile * float(np.sqrt(variance)) if variance > 0 else unseen
    return Interval(low=max(-1.0, difference - half), high=min(1.0, difference + half))


def _spread(values_R: npt.NDArray[np.floating[Any]], num_units: int, level: float) -> tuple[float, float]:
    """Student's quantile, and the bootstrap variance freed of its bias for few units."""
    freedom = max(1, num_units - 1)
    quantile = float(student.ppf(0.5 + level / 2, freedom))
    known_R = values_R[~np.isnan(values_R)]
    variance = float(np.var(known_R, ddof=1)) * num_units / freedom if len(known_R) > 1 else 0.0
    return quantile, variance
