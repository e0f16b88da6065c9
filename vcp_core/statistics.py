"""Intervals and comparisons, all from per-video outcomes (PROTOCOL 5). NumPy and SciPy only.

Legend: N outcomes (rows), U units, R resamples, F flips.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtrit  # scipy.stats would take half a second to import

Array = npt.NDArray[np.float64]
MIN_GROUPS = 5  # with fewer on the test side, videos are resampled instead; PROTOCOL 5
NUM_FLIPS = 10_000  # the least p-value is then 1e-4, and Holm's over 100 comparisons can still be 0.01
CHUNK_BYTES = 64 << 20  # of flips at a time, and of resamples that are kept as float64
# Resamples of a larger matrix that are multiplied at a time. A multiple of what a BLAS kernel takes at once:
# with 10 or 31 rows the last digits of the product were others than those of the whole matrix.
PART_ROWS = 16


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
    """Groups where there are at least five, else videos; a video without a group is a unit of its own.

    Clips of one source video are not independent, so groups come first; but a handful of them cannot say
    how much another handful would differ.
    """
    known = {group for group in groups if group is not None}
    own = (f"video {video}" for video in videos)  # so that no group has the name by accident
    if len(known) >= MIN_GROUPS:
        ids = (video if group is None else group for video, group in zip(own, groups, strict=True))
        return Units(ids=tuple(ids), kind="group")
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
    `UnitWeights` is the same without the matrix.
    """
    parts_RU, unit_of_N = _drawn(units_N, num_resamples, seed)
    return np.concatenate(parts_RU).astype(np.float64)[:, unit_of_N]


def _drawn(
    units_N: Sequence[str], num_resamples: int, seed: int
) -> tuple[list[npt.NDArray[Any]], npt.NDArray[np.intp]]:
    """How often each unit counts in each resample, and the number of the unit of each row.

    One matrix of float64 up to `CHUNK_BYTES`, else parts of `PART_ROWS` resamples in the smallest type that
    holds their counts: a byte, where float64 would be 0.75 GiB for 100,000 videos.
    """
    names, unit_of_N = np.unique(np.asarray(units_N), return_inverse=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    num_units = len(names)
    chances = np.full(num_units, 1 / num_units)
    whole = 8 * num_resamples * num_units <= CHUNK_BYTES
    rows = num_resamples if whole else PART_ROWS
    parts = []
    for start in range(0, num_resamples, rows):
        counts = generator.multinomial(num_units, chances, size=min(rows, num_resamples - start))
        parts.append(counts.astype(np.float64 if whole else np.min_scalar_type(counts.max())))
    return parts, unit_of_N


class _Products:
    """A matrix, given as parts of its rows, times vectors, each distinct vector once.

    Metrics share most of their sums: all heads and stages have the denominators of the same questions, and a
    mean of recalls is made of recalls that are reported as well.
    """

    def __init__(self, parts: Sequence[npt.NDArray[Any]]) -> None:
        self._parts = parts
        self._known: dict[bytes, Array] = {}

    def __call__(self, vector_U: Array) -> Array:
        # A digest, not the vector: with many units and classes the keys would outgrow the matrix.
        key = hashlib.blake2b(vector_U.tobytes(), digest_size=16).digest()
        if key not in self._known:
            product = np.concatenate([part.astype(np.float64, copy=False) @ vector_U for part in self._parts])
            product.flags.writeable = False
            self._known[key] = product
        return self._known[key]


class UnitWeights:
    """`resampling_weights` (R, N) as the two operations that a metric asks for.

    Rows of a unit always weigh alike, so they are added up first and the product is (R, U), not (R, N).
    Many units are kept as bytes and multiplied some resamples at a time.

    Args:
        units_N: The unit of every row.
        num_resamples: R.
        seed: As for `resampling_weights`.
    """

    def __init__(self, units_N: Sequence[str], *, num_resamples: int, seed: int) -> None:
        parts_RU, self._unit_of_N = _drawn(units_N, num_resamples, seed)
        self._num_units = parts_RU[0].shape[1]
        self._times = _Products(parts_RU)

    def __matmul__(self, values_N: Array) -> Array:
        sums_U: Array = np.bincount(self._unit_of_N, weights=values_N, minlength=self._num_units).astype(
            np.float64
        )
        return self._times(sums_U)

    def sum(self, axis: int) -> Array:
        """Sum of each row's weights; `axis` is 1, as for the matrix."""
        return self @ np.ones(len(self._unit_of_N))


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


def difference_interval(
    difference: float, values_R: Array, *, num_units: int, level: float, draws: Sequence[float] = ()
) -> Interval:
    """Student's interval of a paired difference, by the variance that the bootstrap finds.

    Args:
        difference: Of two scores on the same rows, a fraction in [-1, 1].
        values_R: The difference under every resample; NaN where one of the two has none.
        num_units: Units that the difference stands on.
        level: Nominal coverage.
        draws: Scores, fractions, of the random networks whose mean one of the two is. Other draws would have
            another mean: from two on, the half width of Student's interval of their mean is added, squared
            (docs/decisions/2026-11-26-lift.md). One alone says nothing about others.

    No unit that differs is no proof that none would: the interval then reaches as far as the share of
    differing units that Wilson's interval allows after seeing none.
    """
    quantile, variance = _spread(values_R, num_units, level)
    unseen = quantile**2 / (num_units + quantile**2)
    half = quantile * float(np.sqrt(variance)) if variance > 0 else unseen
    if len(draws) > 1:
        of_draws = float(
            stdtrit(len(draws) - 1, 0.5 + level / 2) * np.std(draws, ddof=1) / np.sqrt(len(draws))
        )
        half = float(np.hypot(half, of_draws))
    return Interval(low=max(-1.0, difference - half), high=min(1.0, difference + half))


def _spread(values_R: npt.NDArray[np.floating[Any]], num_units: int, level: float) -> tuple[float, float]:
    """Student's quantile, and the bootstrap variance freed of its bias for few units."""
    freedom = max(1, num_units - 1)
    quantile = float(stdtrit(freedom, 0.5 + level / 2))
    known_R = values_R[~np.isnan(values_R)]
    variance = float(np.var(known_R, ddof=1)) * num_units / freedom if len(known_R) > 1 else 0.0
    return quantile, variance


def mcnemar(first_N: npt.NDArray[np.bool_], second_N: npt.NDArray[np.bool_]) -> float:
    """Exact two-sided McNemar test: p-value of two evaluations being right equally often on the same videos.

    Videos that only one of them answers rightly go to either with chance one half.

    >>> mcnemar(np.array([True] * 6), np.array([False] * 5 + [True]))
    0.0625
    """
    only_first, only_second = int((first_N & ~second_N).sum()), int((second_N & ~first_N).sum())
    return min(1.0, float(2 * bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def flips(num_units: int, *, seed: int) -> Iterator[Array]:
    """Which units are flipped, zeros and ones (F, U), a chunk at a time; the first row flips none.

    Every way there is where there are at most `NUM_FLIPS`, and as many at random otherwise. The part of them
    that differs at least as much as the first is the p-value of a sign-flip permutation test: exact in the
    first case, and in the second never below what the draws can tell (Phipson and Smyth,
    doi:10.2202/1544-6115.1585).
    """
    exact = num_units < NUM_FLIPS.bit_length() and 2**num_units <= NUM_FLIPS
    total = 2**num_units if exact else NUM_FLIPS
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))
    rows = max(1, CHUNK_BYTES // (8 * num_units))
    for start in range(0, total, rows):
        number_F = np.arange(start, min(start + rows, total))
        if exact:
            flipped_FU = (number_F[:, None] >> np.arange(num_units)) & 1
        else:
            flipped_FU = generator.integers(0, 2, (len(number_F), num_units), dtype=np.int8)
            flipped_FU[number_F == 0] = 0
        yield flipped_FU.astype(np.float64)


class ExchangedWeights:
    """Weights of two evaluations' rows, one's after the other's, when some units' answers are exchanged.

    Its first F rows weigh what the first evaluation is left with, the next F rows what the second one is: a
    unit's own rows where it is not flipped, and the other's where it is. The matrix (2 F, 2 N) would be as
    large as it is simple, so it is never written out: a metric only adds up rows under weights, and rows of a
    unit can be added up beforehand.

    Args:
        flipped_FU: From `flips`.
        unit_of_N: Number of the unit of each row.
    """

    def __init__(self, flipped_FU: Array, unit_of_N: npt.NDArray[np.intp]) -> None:
        self._num_units = flipped_FU.shape[1]
        self._times = _Products([flipped_FU])
        self._unit_of_N = unit_of_N

    def __matmul__(self, values_2N: Array) -> Array:
        num_rows, num_units = len(self._unit_of_N), self._num_units
        first_U, second_U = (
            np.bincount(self._unit_of_N, weights=own_N, minlength=num_units)
            for own_N in (values_2N[:num_rows], values_2N[num_rows:])
        )
        gain_F = self._times((second_U - first_U).astype(np.float64))
        return np.concatenate([first_U.sum() + gain_F, second_U.sum() - gain_F])

    def sum(self, axis: int) -> Array:
        """Sum of each row's weights; `axis` is 1, as for the matrix."""
        return self @ np.ones(2 * len(self._unit_of_N))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: what each is worth after so many comparisons (doi:10.2307/4615733).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted
