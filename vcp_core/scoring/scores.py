"""From predictions to scores: estimates, intervals, lift over random weights, warnings (PROTOCOL 5).

Legend: N prediction rows, M metrics.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Mean, Metric, Statistic
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.units import verdict, written
from vcp_core.results.diagnosis import cannot_tell, is_open, too_few, units_behind, way
from vcp_core.results.types import BenchmarkResult, Predictions, Score
from vcp_core.statistics.contrasts import (
    Contrast,
    contrasts,
    half_width_of_draws,
    leave_one_out,
    number_contrast,
)
from vcp_core.statistics.means import mean_statistic
from vcp_core.statistics.shares import number_interval, share_interval
from vcp_core.statistics.smooth import is_smooth
from vcp_core.statistics.units import Correlations, Units, choose_units

Metrics = Mapping[str, Metric]
NOT_SMOOTH = (
    "the statistic is not smooth in the weights of the rows: it stays or jumps when a unit weighs slightly "
    "less. Leaving out units gives no valid interval for a median, a quantile, a minimum or a maximum. Use a "
    "mean, or a ratio of weighted sums."
)


def score_benchmark(
    name: str,
    predictions: Predictions | None,
    controls: Mapping[str, Predictions],
    *,
    pixels: Predictions | None = None,
    unavailable: str | None,
    protocol: Protocol,
) -> BenchmarkResult:
    """Scores of one benchmark from the predictions of a checkpoint and of its controls.

    Args:
        name: The benchmark's name.
        predictions: Predictions of the checkpoint; None if the benchmark is not available.
        controls: Predictions of random weights, by seed, on the same videos.
        pixels: Predictions of the pixel baseline, on the same videos.
        unavailable: The reason why the benchmark is not available.
        protocol: The protocol; it sets the level of intervals.

    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> columns = {"video": list("abcdefghi"), "group": [None] * 9, "label": ["wave"] * 9}
    >>> columns |= {"hit_at_1": [True] * 9, "average_precision": [1.0] * 9}
    >>> facts = {"ks": [1], "gallery": {"clap": 9, "wave": 9}}
    >>> answered = Predictions(benchmark="retrieval", answers=("clap", "wave"), columns=columns, facts=facts)
    >>> result = score_benchmark("retrieval", answered, {}, unavailable=None, protocol=PROTOCOLS["quick-v1"])
    >>> [(score.metric, score.value, round(score.low, 1)) for score in result.scores]
    [('retrieval.top1', 100.0, 62.9), ('retrieval.map', 100.0, 62.9)]
    """
    if predictions is None:
        return BenchmarkResult(benchmark=name, unavailable=unavailable)
    benchmark = load_benchmark(name)
    metrics, coarse, *drawn = (
        {metric.name: metric for metric in benchmark.metrics(one)} if one else {}
        for one in (predictions, pixels, *controls.values())
    )
    by_seed = dict(zip(controls, drawn, strict=True))
    sample = Sample.of(predictions, [*drawn, metrics], protocol.interval.level)
    scores = sample.scores(metrics, list(by_seed.values()), coarse)
    return BenchmarkResult(
        benchmark=name,
        scores=scores,
        tables=tuple(benchmark.tables(predictions)),
        predictions=predictions,
        controls={seed: sample.values(metrics) for seed, metrics in by_seed.items()},
        control_predictions=dict(controls),
        warnings=_warnings(predictions, scores, sample.units),
    )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The test rows of one benchmark, with their units and the correlation of answers within a unit.

    Attributes:
        units: The units of the rows.
        videos: The video of every row.
        level: Nominal coverage of intervals.
        correlations: Correlations of answers within units, from all metrics of all networks that answered.
    """

    units: Units
    videos: tuple[str, ...]
    level: float
    correlations: Correlations

    @classmethod
    def of(cls, predictions: Predictions, answered: Sequence[Metrics], level: float) -> Sample:
        """The sample of the rows of `predictions`.

        Args:
            predictions: The predictions with the rows.
            answered: Metrics of every network that answered these rows: the checkpoint and random weights.
            level: Nominal coverage.
        """
        return cls.over(
            videos=predictions.column("video"),
            groups=predictions.column("group"),
            means=[one.statistic for metrics in answered for one in metrics.values()],
            level=level,
        )

    @classmethod
    def over(
        cls,
        *,
        videos: Sequence[str],
        groups: Sequence[str | None],
        means: Sequence[Mean | Statistic],
        level: float,
    ) -> Sample:
        """The sample of rows with these videos and groups. `means` give the correlations within units."""
        units = choose_units(videos, groups)
        correlations = Correlations((one for one in means if isinstance(one, Mean)), units)
        return cls(units=units, videos=tuple(videos), level=level, correlations=correlations)

    def values(self, metrics: Metrics) -> dict[str, float]:
        """The value of every metric that has one, by name."""
        found = {name: metric.value(len(self.videos)) for name, metric in metrics.items()}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def scores(self, metrics: Metrics, controls: Sequence[Metrics], pixels: Metrics) -> tuple[Score, ...]:
        """The score of every metric that has a value."""
        values = self.values(metrics)
        drawn = {
            name: [one[name] for one in controls if not math.isnan(one[name].value(len(self.videos)))]
            for name in values
        }
        lifts = self.contrasts(
            {name: (mean_metric(found), metrics[name]) for name, found in drawn.items() if found}
        )
        coarse = {name: given for name, given in self.values(pixels).items() if name in values}
        above = self.contrasts({name: (pixels[name], metrics[name]) for name in coarse})
        found = []
        for name, value in values.items():
            metric = metrics[name]
            low, high = self.interval(metric)
            found.append(
                Score(
                    metric=name,
                    value=value,
                    low=low,
                    high=high,
                    unit=metric.unit,
                    better=metric.better,
                    **self.behind(metric),
                    chance=None if metric.chance is None else metric.scale * metric.chance,
                    headline=metric.headline,
                    **_above_pixels(coarse.get(name), above.get(name), metric.scale),
                    **self._lifted(value, lifts.get(name), drawn[name]),
                )
            )
        return tuple(found)

    def interval(self, metric: Metric) -> tuple[float, float]:
        """Both ends of the metric's interval, in its unit.

        Raises:
            ValueError: If the statistic is a step function, for which the interval would be wrong.
        """
        if isinstance(metric.statistic, Mean):
            mean = metric.statistic
            low, high = share_interval(mean, self.units, self.correlations.within(mean), self.level)
        else:
            if not is_smooth(metric.statistic, self.units):
                raise ValueError(f"{metric.name}: {NOT_SMOOTH}")
            found = leave_one_out(metric.statistic, self.units)
            low, high = number_interval(found, self.units.num_behind(), self.level)
        return metric.scale * low, metric.scale * high

    def behind(self, metric: Metric) -> dict[str, Any]:
        """The number of videos and of units behind a metric, and the kind of unit."""
        counts_N = metric.statistic.counts_N if isinstance(metric.statistic, Mean) else None
        videos = self.videos if counts_N is None else itertools.compress(self.videos, counts_N)
        return {
            "num_videos": len(set(videos)),
            "num_units": self.units.num_behind(counts_N),
            "units": self.units.kind,
        }

    def contrasts(self, pairs: Mapping[str, tuple[Metric, Metric]]) -> dict[str, Contrast]:
        """The difference (second minus first) of each pair, on the metric's own scale."""
        shares: dict[str, tuple[Mean, Mean]] = {}
        numbers: dict[str, tuple[Statistic, Statistic]] = {}
        for name, (one, other) in pairs.items():
            first, second = one.statistic, other.statistic
            if isinstance(first, Mean) and isinstance(second, Mean):
                shares[name] = first, second
            elif isinstance(first, Statistic) and isinstance(second, Statistic):
                numbers[name] = first, second
            else:
                raise TypeError(f"{name}: a share cannot be compared with a plain number.")
        of_shares = contrasts(
            list(shares.values()), self.units, correlations=self.correlations, level=self.level
        )
        found = dict(zip(shares, of_shares, strict=True))
        for name, both in numbers.items():
            found[name] = number_contrast(*both, self.units, level=self.level)
        return {name: found[name] for name in pairs}

    def lift(
        self, value: float, lift: Contrast, *, control: float, draws: Sequence[float], scale: float
    ) -> dict[str, float]:
        """The lift over random weights. Its interval includes the variation between random networks.

        Args:
            value: The score.
            lift: The difference of the score and the mean of the random networks.
            control: The mean score of the random networks.
            draws: The score of each random network.
            scale: The metric's scale.
        """
        of_draws = half_width_of_draws(draws, self.level)
        return {
            "control": control,
            "lift": value - control,
            "lift_low": value - control - math.hypot(scale * (lift.difference - lift.low), of_draws),
            "lift_high": value - control + math.hypot(scale * (lift.high - lift.difference), of_draws),
        }

    def _lifted(self, value: float, lift: Contrast | None, drawn: Sequence[Metric]) -> dict[str, float]:
        if lift is None:
            return {}
        draws = [metric.value(len(self.videos)) for metric in drawn]
        return self.lift(value, lift, control=float(np.mean(draws)), draws=draws, scale=drawn[0].scale)


def _above_pixels(given: float | None, above: Contrast | None, scale: float) -> dict[str, float]:
    """The score of the pixel baseline, and the interval of the difference on the same videos."""
    if given is None or above is None:
        return {}
    return {
        "pixels": given,
        "above_pixels_low": scale * above.low,
        "above_pixels_high": scale * above.high,
    }


def mean_metric(metrics: Sequence[Metric]) -> Metric:
    """The mean of one metric over several evaluations of the same rows.

    >>> from vcp_core.statistics.means import weighted_mean
    >>> drawn = [Metric(name="recognition.top1", statistic=weighted_mean(rows), chance=0.5)
    ...     for rows in ([1, 0], [1, 1])]
    >>> mean_metric(drawn).value(2)
    75.0
    """
    return replace(metrics[0], statistic=mean_statistic([metric.statistic for metric in metrics]))


def _warnings(predictions: Predictions, scores: tuple[Score, ...], units: Units) -> tuple[str, ...]:
    found = [] if units.warning is None else [units.warning]
    if predictions.num_left_out:
        left_out, used = predictions.num_left_out, predictions.num_videos
        needs = f" (it takes {least} frames)" if (least := predictions.facts.get("min_frames")) else ""
        found.append(
            f"{left_out} of {left_out + used} test videos are too short{needs} and were left out: "
            f"scores stand on {used}"
        )
    if predictions.facts.get("looped"):
        found.append(f"{predictions.facts['looped']} test videos are shorter than one clip and were looped")
    for fit in predictions.fits:
        if not fit.converged:
            found.append(f"the {fit.name} probe did not converge (gradient {fit.gradient_norm:.1e})")
    for score in scores:
        if score.headline:
            found.extend(weak(score))
    return tuple(found)


def weak(score: Score) -> list[str]:
    """Warn of a score not shown to be better than chance and random weights (PROTOCOL 5).

    >>> behind = {"num_videos": 96, "num_units": 47, "units": "group"}
    >>> numbers = {"value": 30.0, "low": 21.0, "high": 40.0, **behind}
    >>> weak(Score(metric="cloze.accuracy", chance=20.0, **numbers))
    []
    >>> weak(Score(metric="cloze.accuracy", chance=25.0, **numbers))
    ['cloze.accuracy 30.0 is at chance level (25.0)']
    """
    if score.better == "neither":
        return []
    number = partial(written, unit=score.unit)
    said = f"{score.metric} {number(score.value)}"
    if too_few(score):
        return [f"{said}: {cannot_tell(score)}"]
    better, worse = ("above", "below") if score.better == "higher" else ("below", "above")
    if (
        score.chance is not None
        and (side := verdict(score.low - score.chance, score.high - score.chance, score.better)) != 1
    ):
        place = f"is {worse} chance" if side else "is at chance level"
        return [f"{said} {place} ({number(score.chance)})"]
    if score.lift is None or way(score) > 0:
        return []
    if way(score) < 0:
        return [f"{said} is {worse} random weights ({number(score.control)})"]
    if is_open(score):
        apart = f"is not told apart from random weights ({number(score.control)})"
        return [f"{said} {apart} by {units_behind(score)}"]
    return [f"{said} is not {better} random weights ({number(score.control)}) within error"]
