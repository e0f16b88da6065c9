"""Two evaluations on the same videos, compared in pairs (PROTOCOL 5). No torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from vcp_core.benchmarks import load_benchmark
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.protocols import Protocol
from vcp_core.results import Predictions
from vcp_core.scoring import estimate
from vcp_core.statistics import choose_units, difference_interval, resampling_weights


class Difference(BaseModel):
    """One metric of two evaluations, percent.

    Attributes:
        metric: Such as "cloze.temporal".
        first: Its value in the first.
        second: Its value in the second.
        difference: second - first.
        low: Lower end of the difference's interval, by resampling both on the same units.
        high: Upper end.
        headline: Whether tables show it first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    headline: bool = False


def compare(
    first: Mapping[str, Predictions], second: Mapping[str, Predictions], protocol: Protocol
) -> tuple[Difference, ...]:
    """Every metric that both have a value of, the second against the first.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: How intervals are made.

    Raises:
        NotAvailable: If the two do not stand on the same videos.
    """
    return tuple(
        difference
        for name in first
        if name in second
        for difference in _compare_benchmark(name, first[name], second[name], protocol)
    )


def _compare_benchmark(
    name: str, first: Predictions, second: Predictions, protocol: Protocol
) -> list[Difference]:
    if first.column("video") != second.column("video"):
        raise NotAvailable(f"{name}: the two evaluations answered different videos and cannot be paired.")
    units = choose_units(first.column("video"), first.column("group"))
    numbers = protocol.interval
    weights_RN = resampling_weights(units.ids, num_resamples=numbers.num_resamples, seed=protocol.seed)
    num_rows = weights_RN.shape[1]
    metrics = load_benchmark(name).metrics
    others = {metric.name: metric for metric in metrics(second)}
    found = []
    for metric in metrics(first):
        other = others[metric.name]
        values = estimate(metric, num_rows), estimate(other, num_rows)
        if np.isnan(values).any():
            continue
        span = difference_interval(
            (values[1] - values[0]) / 100,
            other.statistic(weights_RN) - metric.statistic(weights_RN),
            num_units=min(units.num_behind(one.counts_N) for one in (metric, other)),
            level=numbers.level,
        )
        found.append(
            Difference(
                metric=metric.name,
                first=values[0],
                second=values[1],
                difference=values[1] - values[0],
                low=100 * span.low,
                high=100 * span.high,
                headline=metric.headline,
            )
        )
    return found
