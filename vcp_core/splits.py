"""Results of several splits of one dataset, and their mean (PROTOCOL 4). No torch.

Legend: R resamples, N prediction rows of one split.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Metric
from vcp_core.catalog.errors import NotAvailable, UnknownName
from vcp_core.catalog.files import whole
from vcp_core.catalog.protocols import Protocol
from vcp_core.results import BenchmarkResult, Results, Score
from vcp_core.scoring import weak
from vcp_core.statistics import UnitWeights, choose_units, difference_interval, interval

Array = npt.NDArray[np.float64]
SCHEMA = "vcpbench.splits/1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeanScore(Score):
    """The mean of one metric over splits; its fields are a score's, and each split's own value.

    The value is the plain mean of the splits' values, as chance, control and pixels are of theirs; the last
    two are None where a split has none. `num_videos` and `num_units` count those of all splits once. The
    lift has no interval where results were read from a file, which does not hold the controls' answers; the
    distance from pixels never has one.

    Attributes:
        by_split: Each split's value, by its name.
    """

    by_split: dict[str, float]


class SplitsMean(_Record):
    """One checkpoint on several splits of one dataset: each split's results, and means over them."""

    schema_name: str = SCHEMA
    scores: tuple[MeanScore, ...]
    warnings: tuple[str, ...] = ()
    splits: dict[str, Results]

    def score(self, metric: str) -> MeanScore:
        """One mean by its metric's name.

        Raises:
            UnknownName: If the splits share no such metric.
        """
        known = {score.metric: score for score in self.scores}
        if metric not in known:
            raise UnknownName("metric", metric, known)
        return known[metric]

    def to_json(self) -> str:
        """All of it; the same runs twice give the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written.
        """
        with whole(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")


def mean_of_splits(results: Sequence[Results]) -> SplitsMean:
    """The mean over splits of every score that all of them have, and of its lift, with intervals.

    Units (groups, or videos) of all splits are resampled together, so that a split's number counts in each
    resample as often as its own units were drawn. Where test sides have no unit in common, as UCF101's, that
    is resampling each split by itself; a unit that is in several test sides (HMDB51's overlap) is drawn for
    all of them at once, and not taken for several independent ones. What it does not cover: splits train on
    much the same videos, so their probes are not independent, and neither is anything about the weights. The
    random networks of one seed start alike on every split, so a draw is a seed's mean over splits.

    Args:
        results: One per split, of one checkpoint, dataset and protocol.

    Raises:
        NotAvailable: If there are fewer than two, or they are not splits of the same thing.
    """
    _check(results)
    by_split = {_split(one): one for one in sorted(results, key=_split)}
    scores: list[MeanScore] = []
    warnings: list[str] = []
    for name in (result.benchmark for result in results[0].benchmarks):
        parts = {split: one.benchmark(name) for split, one in by_split.items()}
        lacking = [split for split, part in parts.items() if part.predictions is None]
        if lacking:
            warnings.append(f"{name} has no mean: it is not available on split {', '.join(lacking)}")
            continue
        shared = _Shared(parts, results[0].provenance.protocol)
        warnings += [f"{name}: {said}" for said in shared.warnings]
        means = [shared.mean(metric) for metric in shared.metrics]
        warnings += [f"{name}: the mean of {said}" for one in means if one.headline for said in weak(one)]
        scores += means
    return SplitsMean(scores=tuple(scores), warnings=tuple(warnings), splits=by_split)


def _split(results: Results) -> str:
    return str(results.provenance.dataset["split"])


def _check(results: Sequence[Results]) -> None:
    if len(results) < 2:
        raise NotAvailable(f"A mean over splits needs two or more, got {len(results)}.")
    facts: dict[str, Callable[[Results], object]] = {
        "checkpoints": lambda one: one.provenance.checkpoint.get("sha256"),
        # A service has each split under a name of its own.
        "datasets": lambda one: one.provenance.dataset.get("own_name", one.provenance.dataset["name"]),
        "protocols": lambda one: one.provenance.protocol_hash,
        "sets of benchmarks": lambda one: tuple(result.benchmark for result in one.benchmarks),
    }
    for what, fact in facts.items():
        found = {fact(one) for one in results}
        if len(found) > 1:
            raise NotAvailable(f"These are results of {len(found)} {what}, not splits of one: {found}.")
    splits = [_split(one) for one in results]
    if len(set(splits)) < len(splits):
        raise NotAvailable(f"A split is there more than once: {', '.join(sorted(splits))}.")


class _Shared:
    """One benchmark's results on all splits, with their units resampled together."""

    def __init__(self, parts: Mapping[str, BenchmarkResult], protocol: Protocol) -> None:
        predictions = {split: part.predictions for split, part in parts.items() if part.predictions}
        videos = [video for one in predictions.values() for video in one.column("video")]
        groups = [group for one in predictions.values() for group in one.column("group")]
        self.units = choose_units(videos, groups)
        self.protocol = protocol
        weights = UnitWeights(
            self.units.ids, num_resamples=protocol.interval.num_resamples, seed=protocol.seed
        )
        ends = np.cumsum([len(one.column("video")) for one in predictions.values()])
        self.weights = {
            split: cast(Array, _OwnRows(weights, slice(end - len(one.column("video")), end), len(videos)))
            for (split, one), end in zip(predictions.items(), ends.tolist(), strict=True)
        }
        self.videos = {split: one.column("video") for split, one in predictions.items()}
        self.scores = {split: {score.metric: score for score in part.scores} for split, part in parts.items()}
        metrics_of = load_benchmark(next(iter(parts.values())).benchmark).metrics
        self.statistics = {
            split: {metric.name: metric for metric in metrics_of(one)} for split, one in predictions.items()
        }
        self.control_values = {split: part.controls for split, part in parts.items()}
        self.control_statistics = {
            split: {
                seed: {metric.name: metric for metric in metrics_of(one)}
                for seed, one in part.control_predictions.items()
            }
            for split, part in parts.items()
        }

    @property
    def metrics(self) -> list[str]:
        """Those that all splits have a value of."""
        first, *others = self.scores.values()
        return [name for name in first if all(name in other for other in others)]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the intervals must know."""
        found = [self.units.warning] if self.units.warning else []
        distinct = [set(videos) for videos in self.videos.values()]
        twice = sum(map(len, distinct)) - len(set().union(*distinct))
        if twice:
            found.append(f"{twice} test videos are in several splits, and are resampled in all at once")
        return found

    def mean(self, name: str) -> MeanScore:
        """Over the splits, with its interval."""
        scores = {split: scores[name] for split, scores in self.scores.items()}
        value = _over([score.value for score in scores.values()])
        values_R = self._resampled({split: [self.statistics[split][name]] for split in scores})
        counts_N = self._counting({split: self.statistics[split][name] for split in scores})
        num_units = self.units.num_behind(counts_N)
        span = interval(value / 100, values_R, num_units=num_units, level=self.protocol.interval.level)
        videos = [video for split in scores for video in self.videos[split]]
        chance, control, pixels = (
            None if None in (found := [getattr(score, fact) for score in scores.values()]) else _over(found)
            for fact in ("chance", "control", "pixels")
        )
        one = next(iter(scores.values()))
        return MeanScore(
            metric=name,
            unit=one.unit,
            better=one.better,
            value=value,
            low=100 * span.low,
            high=100 * span.high,
            by_split={split: score.value for split, score in scores.items()},
            num_videos=len(set(itertools.compress(videos, counts_N))),
            num_units=num_units,
            units=self.units.kind,
            chance=chance,
            control=control,
            pixels=pixels,
            headline=one.headline,
            **({} if control is None else self._lift(name, value - control, values_R, num_units)),
        )

    def _lift(self, name: str, lift: float, values_R: Array, num_units: int) -> dict[str, float]:
        """The lift, and its interval where the controls' answers are there."""
        metrics = {
            split: {seed: by_seed[seed][name] for seed in by_seed if name in self.control_values[split][seed]}
            for split, by_seed in self.control_statistics.items()
        }
        if not all(metrics.values()):
            return {"lift": lift}
        seeds = {seed for by_seed in metrics.values() for seed in by_seed}
        behind = (
            self._counting({split: by_seed.get(seed) for split, by_seed in metrics.items()}) for seed in seeds
        )
        everywhere = [seed for seed in sorted(seeds) if all(seed in by_seed for by_seed in metrics.values())]
        span = difference_interval(
            lift / 100,
            values_R - self._resampled({split: [*by_seed.values()] for split, by_seed in metrics.items()}),
            num_units=min(num_units, *map(self.units.num_behind, behind)),
            level=self.protocol.interval.level,
            draws=[
                _over([values[seed][name] for values in self.control_values.values()]) / 100
                for seed in everywhere
            ],
        )
        return {"lift": lift, "lift_low": 100 * span.low, "lift_high": 100 * span.high}

    def _resampled(self, metrics: Mapping[str, Sequence[Metric]]) -> Array:
        """Mean over splits of the mean of each split's metrics, under every resample."""
        by_split = [
            np.mean([metric.statistic(self.weights[split]) for metric in found], axis=0)
            for split, found in metrics.items()
        ]
        return np.asarray(np.mean(by_split, axis=0))

    def _counting(self, metrics: Mapping[str, Metric | None]) -> npt.NDArray[np.bool_]:
        """Rows of all splits that count; none of a split whose metric is None."""
        parts = []
        for split, metric in metrics.items():
            plain = np.full(len(self.videos[split]), metric is not None)
            parts.append(plain if metric is None or metric.counts_N is None else metric.counts_N)
        return np.concatenate(parts)


class _OwnRows:
    """`UnitWeights` of all splits' rows, as a metric of one split's rows asks for them."""

    def __init__(self, weights: UnitWeights, place: slice, num_rows: int) -> None:
        self._weights, self._place, self._num_rows = weights, place, num_rows

    def __matmul__(self, values_N: Array) -> Array:
        everywhere = np.zeros(self._num_rows)
        everywhere[self._place] = values_N
        return self._weights @ everywhere

    def sum(self, axis: int) -> Array:
        """Sum of each row's weights; `axis` is 1, as for a matrix."""
        return self @ np.ones(self._place.stop - self._place.start)


def _over(values: Sequence[float]) -> float:
    return float(np.mean(values))
