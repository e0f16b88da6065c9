"""Evaluations on the same videos, compared in pairs (PROTOCOL 5). No torch.

Legend: N prediction rows of one evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
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
    """The difference of two evaluations in one metric, in the metric's unit.

    Attributes:
        metric: The metric's name, such as "cloze.temporal".
        first: Value of the first evaluation.
        second: Value of the second evaluation.
        difference: second - first.
        low: Lower end of the difference's interval.
        high: Upper end of the difference's interval.
        p_value: Two-sided: how often two equally good networks would differ by at least as much. It is one
            minus the level at which the interval first touches zero.
        detectable: The difference that would be found in 80 % of cases (`vcp_core.statistics.power`).
        test: The method that gave interval and p-value (`vcp_core.statistics.contrasts`). "same" means that
            both are the same weights, which are equal without a test.
        num_videos: Number of videos that both answered. All numbers are computed from these.
        num_units: Number of units behind the interval.
        units: Whether a unit is a group or a video.
        unit: The unit of the metric.
        better: Whether a higher or a lower value is better.
        headline: Whether tables show the metric first.
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
        num_comparisons: Number of comparisons of this metric.
        p_adjusted: Holm's p-value, adjusted for all of them.
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
    """Compare the second evaluation with the first in every metric of both, on the videos that both answered.

    Backbones with longer clips leave more videos out of cloze. `unpaired` reports such videos.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: The protocol; it sets the level of intervals.
        same: Whether both are the same weights with the same input. Then every difference is exactly 0.

    Raises:
        NotAvailable: If the two have different rows for a video.

    >>> from vcp_core.catalog.protocols import load_protocol
    >>> videos = [f"{number:02}.mp4" for number in range(40)]
    >>> def recognised(answers):
    ...     first = [[answer] for answer in answers]
    ...     columns = {"video": videos, "group": [None] * 40, "label": ["wave"] * 40, "linear": first}
    ...     return Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    >>> before = {"recognition": recognised(["wave"] * 20 + ["clap"] * 20)}
    >>> after = {"recognition": recognised(["wave"] * 36 + ["clap"] * 4)}
    >>> top1 = compare(before, after, load_protocol("quick-v1"))[0]
    >>> print(f"{top1.metric} {top1.difference:+.1f} [{top1.low:.1f}, {top1.high:.1f}]")
    recognition.top1 +40.0 [25.4, 56.0]
    """
    return tuple(
        difference
        for name in first
        if name in second and _common(first[name], second[name])
        for difference in _differences(name, first[name], second[name], protocol, same=same)
    )


def unpaired(first: Mapping[str, Predictions], second: Mapping[str, Predictions]) -> tuple[str, ...]:
    """Notes for readers of `compare`: the benchmarks that were compared on fewer videos, or not at all.

    >>> def answered(*videos):
    ...     return Predictions(benchmark="cloze", answers=(), columns={"video": list(videos)})
    >>> unpaired({"cloze": answered("a.mp4", "b.mp4", "c.mp4")}, {"cloze": answered("b.mp4", "c.mp4")})
    ('cloze: compared on the 2 videos that both answered, without 1 of the first alone',)
    """
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
    """Compare each of `others` with the reference, with p-values adjusted for the number of comparisons.

    Args:
        reference: Predictions by benchmark.
        others: By name, predictions by benchmark, on the same dataset under the same protocol.
        protocol: As for `compare`.
        same: Names of the evaluations with the same weights and the same input as the reference.

    >>> from vcp_core.catalog.protocols import load_protocol
    >>> videos = [f"{number:02}.mp4" for number in range(40)]
    >>> def recognised(num_right):
    ...     first = [["wave"]] * num_right + [["clap"]] * (40 - num_right)
    ...     columns = {"video": videos, "group": [None] * 40, "label": ["wave"] * 40, "linear": first}
    ...     answered = Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    ...     return {"recognition": answered}
    >>> others = {"epoch 10": recognised(26), "epoch 20": recognised(36)}
    >>> found = compare_many(recognised(20), others, load_protocol("quick-v1"))
    >>> for name, differences in found.items():
    ...     top1 = differences[0]
    ...     print(f"{name}: {top1.difference:+.1f}, p {top1.p_value:.3f}, adjusted {top1.p_adjusted:.3f}")
    epoch 10: +15.0, p 0.019, adjusted 0.019
    epoch 20: +40.0, p 0.000, adjusted 0.001
    """
    found = {name: compare(reference, other, protocol, same=name in same) for name, other in others.items()}
    return adjusted(found)


def adjusted(found: Mapping[str, Sequence[Difference]]) -> dict[str, tuple[AdjustedDifference, ...]]:
    """Adjust p-values by Holm's method. One family is the comparisons of one metric with the reference.

    Args:
        found: By name, the differences from the same reference.
    """
    families: dict[str, dict[str, float]] = {}
    for name, differences in found.items():
        for one in differences:
            families.setdefault(one.metric, {})[name] = one.p_value
    holms = {
        metric: dict(zip(by_name, holm(list(by_name.values())), strict=True))
        for metric, by_name in families.items()
    }
    return {
        name: tuple(
            AdjustedDifference(
                **one.model_dump(),
                num_comparisons=len(holms[one.metric]),
                p_adjusted=holms[one.metric][name],
            )
            for one in differences
        )
        for name, differences in found.items()
    }


def _differences(
    name: str, first: Predictions, second: Predictions, protocol: Protocol, *, same: bool
) -> list[Difference]:
    """The differences in every metric of one benchmark that both have, on the videos that both answered."""
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
    """The interval of a difference, its test, and the detectable difference."""
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
    """The videos that both answered. Under one protocol each video has the same number of questions."""
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
