"""Evaluations on the same videos, compared in pairs (PROTOCOL 5). No torch.

Legend: N prediction rows of one evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Metric
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.units import Better, Unit
from vcp_core.results.types import Predictions
from vcp_core.scoring.scores import Sample
from vcp_core.statistics.contrasts import Contrast
from vcp_core.statistics.power import detectable
from vcp_core.statistics.several import holm

Test = Literal["mcnemar", "newcombe", "student", "same"]
TESTS: dict[str, Test] = {"pairs": "mcnemar", "squares": "newcombe", "student": "student"}


class Difference(BaseModel):
    """One metric of two evaluations; all numbers but p-values and counts have its unit.

    Attributes:
        metric: Such as "cloze.temporal".
        first: Its value in the first.
        second: Its value in the second.
        difference: second - first.
        low: Lower end of the difference's interval.
        high: Upper end.
        p_value: How often so large a difference, either way, comes from two that are equally good: one minus
            the level at which the interval first touches zero.
        detectable: A difference of so much would be found in 80 % of cases (`vcp_core.statistics.power`).
        test: Whose test and interval these are (`vcp_core.statistics.contrasts`); "same" where both are the
            same weights, which are equal without any test.
        num_videos: Videos that both answered, on which all of this stands.
        num_units: Units behind it, which the interval goes by.
        units: What a unit is.
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
    detectable: float
    test: Test
    num_videos: int
    num_units: int
    units: Literal["group", "video"]
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
    first: Mapping[str, Predictions],
    second: Mapping[str, Predictions],
    protocol: Protocol,
    *,
    same: bool = False,
) -> tuple[Difference, ...]:
    """Every metric that both have a value of, the second against the first, on the videos that both answered.

    Backbones whose clips are longer leave more videos out of cloze; `unpaired` says where that is so.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: How intervals are made.
        same: Whether both are the same weights with the same input: then they are equal, whatever the number
            of videos.

    Raises:
        NotAvailable: If the two have other numbers of answers for a video.
    """
    return tuple(
        difference
        for name in first
        if name in second and _common(first[name], second[name])
        for difference in _differences(name, first[name], second[name], protocol, same=same)
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
    *,
    same: Collection[str] = (),
) -> dict[str, tuple[AdjustedDifference, ...]]:
    """Each of `others` against the reference, with p-values that count how many comparisons were made.

    Args:
        reference: Predictions by benchmark.
        others: By name, predictions by benchmark, on the same dataset under the same protocol.
        protocol: As for `compare`.
        same: Names of those that are the same weights as the reference, with the same input.
    """
    found = {name: compare(reference, other, protocol, same=name in same) for name, other in others.items()}
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


def _differences(
    name: str, first: Predictions, second: Predictions, protocol: Protocol, *, same: bool
) -> list[Difference]:
    """Of every metric of one benchmark that both have a value of, on the videos that both answered."""
    videos = _common(first, second)
    first, second = (_restricted(one, videos) for one in (first, second))
    if first.column("video") != second.column("video"):
        raise NotAvailable(
            f"{name}: the two do not have the same videos row by row, so they cannot be paired. Evaluate "
            "both under one protocol by one version."
        )
    metrics = load_benchmark(name).metrics
    by_name = [{metric.name: metric for metric in metrics(one)} for one in (first, second)]
    sample = Sample.of(first, by_name, protocol.interval.level)
    values = [sample.values(one) for one in by_name]
    both = {one: (by_name[0][one], by_name[1][one]) for one in values[0] if one in values[1]}
    return [
        Difference(
            metric=metric,
            first=values[0][metric],
            second=values[1][metric],
            difference=values[1][metric] - values[0][metric],
            num_videos=len(videos),
            num_units=found.num_units,
            units=sample.units.kind,
            unit=both[metric][0].unit,
            better=both[metric][0].better,
            headline=both[metric][0].headline,
            **_evidence(found, both[metric][0], sample.level, same=same),
        )
        for metric, found in sample.contrasts(both).items()
    ]


def _evidence(found: Contrast, metric: Metric, level: float, *, same: bool) -> dict[str, Any]:
    """The interval of a difference, its test, and what it would find."""
    if same:
        return {"low": 0.0, "high": 0.0, "p_value": 1.0, "test": "same", "detectable": 0.0}
    low, high = metric.scale * found.low, metric.scale * found.high
    return {
        "low": low,
        "high": high,
        "p_value": found.p_value,
        "detectable": detectable(low, high, level),
        "test": TESTS[found.method],
    }


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
