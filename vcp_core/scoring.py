"""From predictions to scores: estimates, intervals, lift over random weights, warnings (PROTOCOL 5).

Legend: R resamples, N prediction rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Metric
from vcp_core.catalog.protocols import Protocol
from vcp_core.diagnosis import Lifted
from vcp_core.results import BenchmarkResult, Predictions, Score
from vcp_core.statistics import Units, UnitWeights, choose_units, difference_interval, interval

Array = npt.NDArray[np.float64]


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
        name: The benchmark.
        predictions: Of the checkpoint; None where the benchmark is not available.
        controls: Of random weights, by seed, on the same videos.
        pixels: Of the pixel baseline, on the same videos.
        unavailable: Why it is not available.
        protocol: How intervals are made.
    """
    if predictions is None:
        return BenchmarkResult(benchmark=name, unavailable=unavailable)
    benchmark = load_benchmark(name)
    units = choose_units(predictions.column("video"), predictions.column("group"))
    numbers = protocol.interval
    weights = UnitWeights(units.ids, num_resamples=numbers.num_resamples, seed=protocol.seed)
    found = {metric.name: metric for metric in benchmark.metrics(predictions)}
    coarse = {metric.name: metric for metric in benchmark.metrics(pixels)} if pixels else {}
    by_seed = {
        seed: {metric.name: metric for metric in benchmark.metrics(control)}
        for seed, control in controls.items()
    }
    sample = _Sample(cast(Array, weights), units, tuple(predictions.column("video")), numbers.level)
    scores = tuple(
        _score(
            metric, [metrics[metric.name] for metrics in by_seed.values()], coarse.get(metric.name), sample
        )
        for metric in found.values()
        if not np.isnan(estimate(metric, len(units.ids)))
    )
    return BenchmarkResult(
        benchmark=name,
        scores=scores,
        tables=tuple(benchmark.tables(predictions)),
        predictions=predictions,
        controls={
            seed: {
                name: value
                for name, metric in metrics.items()
                if not np.isnan(value := estimate(metric, len(units.ids)))
            }
            for seed, metrics in by_seed.items()
        },
        control_predictions=dict(controls),
        warnings=_warnings(predictions, scores, units),
    )


@dataclass(frozen=True)
class _Sample:
    """The test rows of one benchmark: how they are resampled, and whose they are."""

    weights_RN: Array  # `UnitWeights`, which is all of an array that a metric asks for
    units: Units
    videos: tuple[str, ...]
    level: float


def estimate(metric: Metric, num_rows: int) -> float:
    """The metric itself, in percent; NaN where nothing counts (the precision of an answer never given)."""
    return 100 * float(metric.statistic(np.ones((1, num_rows)))[0])


def _score(metric: Metric, controls: list[Metric], pixels: Metric | None, sample: _Sample) -> Score:
    value = estimate(metric, len(sample.videos))
    values_R = metric.statistic(sample.weights_RN)
    num_units = sample.units.num_behind(metric.counts_N)
    span = interval(value / 100, values_R, num_units=num_units, level=sample.level)
    counts_N = itertools.repeat(True) if metric.counts_N is None else metric.counts_N
    return Score(
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        value=value,
        low=100 * span.low,
        high=100 * span.high,
        num_videos=len(set(itertools.compress(sample.videos, counts_N))),
        num_units=num_units,
        units=sample.units.kind,
        chance=None if metric.chance is None else 100 * metric.chance,
        headline=metric.headline,
        **_above_pixels(value, values_R, num_units, pixels, sample),
        **_lift(value, values_R, num_units, controls, sample),
    )


def _above_pixels(
    value: float, values_R: Array, num_units: int, pixels: Metric | None, sample: _Sample
) -> dict[str, float]:
    """What the pixel baseline gives, and the score's distance from it on the same videos."""
    if pixels is None or np.isnan(given := estimate(pixels, len(sample.videos))):
        return {}
    span = difference_interval(
        (value - given) / 100,
        values_R - pixels.statistic(sample.weights_RN),
        num_units=min(num_units, sample.units.num_behind(pixels.counts_N)),
        level=sample.level,
    )
    return {"pixels": given, "above_pixels_low": 100 * span.low, "above_pixels_high": 100 * span.high}


def _lift(
    value: float, values_R: Array, num_units: int, controls: list[Metric], sample: _Sample
) -> dict[str, float]:
    """The score over the mean of those controls that have one: a few draws of random weights."""
    by_seed = {i: estimate(control, len(sample.videos)) for i, control in enumerate(controls)}
    measured = [i for i, found in by_seed.items() if not np.isnan(found)]
    if not measured:
        return {}
    control = float(np.mean([by_seed[i] for i in measured]))
    control_R = np.mean([controls[i].statistic(sample.weights_RN) for i in measured], axis=0)
    span = difference_interval(
        (value - control) / 100,
        values_R - control_R,
        num_units=min(num_units, *(sample.units.num_behind(controls[i].counts_N) for i in measured)),
        level=sample.level,
        draws=[by_seed[i] / 100 for i in measured],
    )
    return {
        "control": control,
        "lift": value - control,
        "lift_low": 100 * span.low,
        "lift_high": 100 * span.high,
    }


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


def weak(score: Lifted) -> list[str]:
    """The warning of a score at chance or not above random weights, if it is (PROTOCOL 5)."""
    if score.chance is not None and score.low <= score.chance:
        place = "is at chance level" if score.high >= score.chance else "is below chance"
        return [f"{score.metric} {score.value:.1f} {place} ({score.chance:.1f})"]
    if score.lift is not None and score.lift_low is not None and score.lift_low <= 0:
        return [
            f"{score.metric} {score.value:.1f} is not above random weights ({score.control:.1f}) within error"
        ]
    return []
