"""Evaluations on the same videos, compared in pairs (PROTOCOL 5). No torch.

Legend: N prediction rows of one evaluation, F flips.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Array, Metric
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.units import Better, Unit
from vcp_core.results import Predictions
from vcp_core.scoring import estimate
from vcp_core.statistics import (
    ExchangedWeights,
    Units,
    UnitWeights,
    choose_units,
    difference_interval,
    flips,
    holm,
    mcnemar,
)

ROUNDING = 1e-12  # of a difference: the order of a sum must not decide what is as large as what


class Difference(BaseModel):
    """One metric of two evaluations; all numbers but p-values and counts have its unit.

    Attributes:
        metric: Such as "cloze.temporal".
        first: Its value in the first.
        second: Its value in the second.
        difference: second - first.
        low: Lower end of the difference's interval, by resampling both on the same units.
        high: Upper end.
        p_value: How often so large a difference, either way, comes from two that are equally good.
        test: Exact McNemar where a video gives one outcome and the dataset has no groups; else a sign-flip
            permutation test that exchanges the two evaluations' answers for whole units.
        num_videos: Videos that both answered, on which all of this stands.
        unit: What the metric is measured in.
        better: Which way is better.
        headline: Whether tables show it first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    test: Literal["mcnemar", "sign-flip"]
    num_videos: int
    unit: Unit = "percent"
    better: Better = "higher"
    headline: bool = False


class AdjustedDifference(Difference):
    """One of several comparisons with the same reference.

    Attributes:
        num_comparisons: In how many this metric was compared.
        p_adjusted: Holm's p-value over these.
    """

    num_comparisons: int
    p_adjusted: float


def compare(
    first: Mapping[str, Predictions], second: Mapping[str, Predictions], protocol: Protocol
) -> tuple[Difference, ...]:
    """Every metric that both have a value of, the second against the first, on the videos that both answered.

    Backbones whose clips are longer leave more videos out of cloze; `unpaired` says where that is so.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: How intervals are made, and the seed of resamples and flips.

    Raises:
        NotAvailable: If the two have other numbers of answers for a video.
    """
    return tuple(
        difference
        for name in first
        if name in second and _common(first[name], second[name])
        for difference in _Pair(name, first[name], second[name], protocol).differences()
    )


def unpaired(first: Mapping[str, Predictions], second: Mapping[str, Predictions]) -> tuple[str, ...]:
    """What a reader of `compare` must know: which benchmarks stand on fewer videos than one has, or none."""
    found = []
    for name in (*first, *(name for name in second if name not in first)):
        if name not in first or name not in second:
            found.append(
                f"{name}: only the {'first' if name in first else 'second'} has answers; not compared"
            )
            continue
        common = len(_common(first[name], second[name]))
        alone = {"first": first[name].num_videos - common, "second": second[name].num_videos - common}
        if not common:
            found.append(f"{name}: no video has answers of both; not compared")
        elif any(alone.values()):
            rest = " and ".join(f"{number} of the {which} alone" for which, number in alone.items() if number)
            found.append(f"{name}: compared on the {common} videos that both answered, without {rest}")
    return tuple(found)


def compare_many(
    reference: Mapping[str, Predictions],
    others: Mapping[str, Mapping[str, Predictions]],
    protocol: Protocol,
) -> dict[str, tuple[AdjustedDifference, ...]]:
    """Each of `others` against the reference, with p-values that count how many comparisons were made.

    Args:
        reference: Predictions by benchmark.
        others: By name, predictions by benchmark, on the same dataset under the same protocol.
        protocol: As for `compare`.
    """
    found = {name: compare(reference, other, protocol) for name, other in others.items()}
    families: dict[str, dict[str, float]] = {}
    for name, differences in found.items():
        for one in differences:
            families.setdefault(one.metric, {})[name] = one.p_value
    adjusted = {
        metric: dict(zip(by_name, holm(list(by_name.values())), strict=True))
        for metric, by_name in families.items()
    }
    return {
        name: tuple(
            AdjustedDifference(
                **one.model_dump(),
                num_comparisons=len(adjusted[one.metric]),
                p_adjusted=adjusted[one.metric][name],
            )
            for one in differences
        )
        for name, differences in found.items()
    }


class _Pair:
    """Two evaluations' predictions of one benchmark, on the videos that both answered."""

    def __init__(self, name: str, first: Predictions, second: Predictions, protocol: Protocol) -> None:
        videos = _common(first, second)
        first, second = (_restricted(one, videos) for one in (first, second))
        if first.column("video") != second.column("video"):
            raise NotAvailable(
                f"{name}: the two do not have the same videos row by row, so they cannot be paired. Evaluate "
                "both under one protocol by one version."
            )
        self.num_videos = len(videos)
        self.units: Units = choose_units(first.column("video"), first.column("group"))
        self.num_rows = len(first.column("video"))
        self.grouped = any(group is not None for group in first.column("group"))
        self.protocol = protocol
        metrics = load_benchmark(name).metrics
        self.first = {metric.name: metric for metric in metrics(first)}
        self.second = {metric.name: metric for metric in metrics(second)}
        self.both = {metric.name: metric for metric in metrics(_one_after_the_other(first, second))}

    def differences(self) -> list[Difference]:
        """Of every metric that both have a value of."""
        numbers = self.protocol.interval
        weights = UnitWeights(self.units.ids, num_resamples=numbers.num_resamples, seed=self.protocol.seed)
        weights_RN = cast(Array, weights)  # it is all that a metric asks for
        values = {
            name: (estimate(self.first[name], self.num_rows), estimate(self.second[name], self.num_rows))
            for name in self.first
            if name in self.second
        }
        known = {name: pair for name, pair in values.items() if not np.isnan(pair).any()}
        flipped = self._sign_flips([name for name in known if not self._by_video(name)])
        found = []
        for name, (first, second) in known.items():
            pair = self.first[name], self.second[name]
            span = difference_interval(
                (second - first) / 100,
                pair[1].statistic(weights_RN) - pair[0].statistic(weights_RN),
                num_units=min(self.units.num_behind(one.counts_N) for one in pair),
                level=numbers.level,
            )
            found.append(
                Difference(
                    metric=name,
                    first=first,
                    second=second,
                    difference=second - first,
                    low=100 * span.low,
                    high=100 * span.high,
                    p_value=flipped[name] if name in flipped else _mcnemar(*pair),
                    test="sign-flip" if name in flipped else "mcnemar",
                    num_videos=self.num_videos,
                    unit=pair[0].unit,
                    better=pair[0].better,
                    headline=pair[0].headline,
                )
            )
        return found

    def _by_video(self, name: str) -> bool:
        """Whether a video gives one outcome, and videos are all there is to go by."""
        return self.first[name].outcomes_N is not None and not self.grouped

    def _sign_flips(self, names: Sequence[str]) -> dict[str, float]:
        """p-values by metric: the part of the flips that differ at least as much as what was seen.

        For a mean this flips the signs of units' differences; a metric that is none, such as a precision,
        is computed anew from the exchanged answers.
        """
        unit_names, unit_of_N = np.unique(np.asarray(self.units.ids), return_inverse=True)
        seen: dict[str, float] = {}
        as_large, total = dict.fromkeys(names, 0), 0
        for flipped_FU in flips(len(unit_names), seed=self.protocol.seed):
            weights = cast(Array, ExchangedWeights(flipped_FU, unit_of_N))  # it is all that a metric asks for
            for name in names:
                first_F, second_F = np.split(self.both[name].statistic(weights), 2)
                differences_F = np.abs(second_F - first_F)
                least = seen.setdefault(name, float(differences_F[0])) - ROUNDING
                # Where a flip leaves one of the two without an answer, nothing speaks against it: it counts.
                as_large[name] += int((~(differences_F < least)).sum())
            total += len(flipped_FU)
        return {name: as_large[name] / total for name in names}


def _mcnemar(first: Metric, second: Metric) -> float:
    assert first.outcomes_N is not None
    assert second.outcomes_N is not None
    return mcnemar(first.outcomes_N, second.outcomes_N)


def _common(first: Predictions, second: Predictions) -> set[str]:
    """Videos that both answered; one protocol asks as many questions of each."""
    return set(first.column("video")) & set(second.column("video"))


def _restricted(predictions: Predictions, videos: set[str]) -> Predictions:
    """The rows of some videos."""
    kept_N = [video in videos for video in predictions.column("video")]
    if all(kept_N):
        return predictions
    return predictions.model_copy(
        update={
            "columns": {
                name: list(itertools.compress(values, kept_N)) for name, values in predictions.columns.items()
            }
        }
    )


def _one_after_the_other(first: Predictions, second: Predictions) -> Predictions:
    """Rows of both, in the columns and of the probes that both have: backbones differ in their stages."""
    shared = {fit.name for fit in second.fits}
    return first.model_copy(
        update={
            "columns": {
                name: [*values, *second.columns[name]]
                for name, values in first.columns.items()
                if name in second.columns
            },
            "fits": tuple(fit for fit in first.fits if fit.name in shared),
        }
    )
