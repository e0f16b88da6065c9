"""Results of several splits of one dataset, and their mean (PROTOCOL 4). No torch.

Legend: N prediction rows of all splits, split after split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vcp_core.benchmarks import load_benchmark
from vcp_core.benchmarks.metrics import Mean, Metric, Statistic
from vcp_core.catalog.errors import NotAvailable, UnknownName
from vcp_core.catalog.protocols import Protocol
from vcp_core.results.types import BenchmarkResult, Document, Results, Score
from vcp_core.scoring.scores import Sample, mean_metric, weak
from vcp_core.statistics.means import mean_statistic

SCHEMA = "vcpbench.splits/1"


class MeanScore(Score):
    """The mean of one metric over splits. It has a score's fields, and the value of each split.

    Value, chance, control and pixels are plain means over the splits. Control and pixels are None if a split
    has none. `num_videos` and `num_units` count each video and each unit once. The lift has no interval if
    results were read from a file, because a file does not contain the controls' answers. The difference from
    pixels never has an interval.

    Attributes:
        by_split: Each split's value, by its name.
    """

    by_split: dict[str, float]


class SplitsMean(Document):
    """One checkpoint on several splits of one dataset: each split's results, and means over them.

    `mean_of_splits` makes it, and has an example.
    """

    schema_name: str = SCHEMA
    scores: tuple[MeanScore, ...]
    warnings: tuple[str, ...] = ()
    splits: dict[str, Results]

    def score(self, metric: str) -> MeanScore:
        """The mean of one metric, by the metric's name.

        Raises:
            UnknownName: If not all splits have the metric.
        """
        known = {score.metric: score for score in self.scores}
        if metric not in known:
            raise UnknownName("metric", metric, known)
        return known[metric]


def mean_of_splits(results: Sequence[Results]) -> SplitsMean:
    """Compute the mean over splits of every score that all splits have, and of its lift, with intervals.

    The rows of all splits are pooled, and each split has an equal share of the weight. The test sides of
    splits may overlap, as HMDB51's do. A unit (a group, or a video) in several test sides counts as one unit.

    The interval does not cover that the splits' probes are dependent: splits share most training videos. It
    does not cover another training of the weights either. Random networks of one seed start alike on every
    split, so one draw is a seed's mean over splits.

    Args:
        results: One per split, of one checkpoint, dataset and protocol.

    Raises:
        NotAvailable: If there are fewer than two results, or they differ in more than the split.

    >>> from vcp_core.catalog.protocols import load_protocol
    >>> from vcp_core.results.types import Predictions, Provenance
    >>> from vcp_core.scoring.scores import score_benchmark
    >>> quick = load_protocol("quick-v1")
    >>> def results_of(split, answers):
    ...     videos = [f"{split}/{number}.mp4" for number in range(10)]
    ...     first = [[answer] for answer in answers]
    ...     columns = {"video": videos, "group": [None] * 10, "label": ["a"] * 10, "linear": first}
    ...     answered = Predictions(benchmark="recognition", answers=("a", "b"), columns=columns)
    ...     scored = score_benchmark("recognition", answered, {}, unavailable=None, protocol=quick)
    ...     videos_of = {"name": "ucf101", "split": split}
    ...     of = {"checkpoint": {}, "dataset": videos_of, "protocol": quick, "protocol_hash": quick.hash}
    ...     return Results(benchmarks=(scored,), provenance=Provenance.model_construct(**of))
    >>> mean = mean_of_splits([results_of("1", "aaaaabbbbb"), results_of("2", "aaaaaaaaab")])
    >>> mean.score("recognition.top1").value, mean.score("recognition.top1").by_split
    (70.0, {'1': 50.0, '2': 90.0})
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
        # A service registers each split under its own name, so compare the catalog's name.
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
    """One benchmark's results on all splits: the rows, split after split, and their units."""

    def __init__(self, parts: Mapping[str, BenchmarkResult], protocol: Protocol) -> None:
        predictions = {split: part.predictions for split, part in parts.items() if part.predictions}
        self.videos = {split: one.column("video") for split, one in predictions.items()}
        self.scores = {split: {score.metric: score for score in part.scores} for split, part in parts.items()}
        metrics_of = load_benchmark(next(iter(parts.values())).benchmark).metrics
        self.metrics_of = {
            split: {metric.name: metric for metric in metrics_of(one)} for split, one in predictions.items()
        }
        self.control_values = {split: part.controls for split, part in parts.items()}
        self.controls_of = {
            split: {
                seed: {metric.name: metric for metric in metrics_of(one)}
                for seed, one in part.control_predictions.items()
            }
            for split, part in parts.items()
        }
        self.sample = Sample.over(
            videos=[video for videos in self.videos.values() for video in videos],
            groups=[group for one in predictions.values() for group in one.column("group")],
            means=[self._everywhere(self._metrics(name)) for name in self.metrics],
            level=protocol.interval.level,
        )

    @property
    def metrics(self) -> list[str]:
        """The metrics that have a value on every split."""
        first, *others = self.scores.values()
        return [name for name in first if all(name in other for other in others)]

    @property
    def warnings(self) -> list[str]:
        """Warnings for readers of the intervals."""
        found = [self.sample.units.warning] if self.sample.units.warning else []
        distinct = [set(videos) for videos in self.videos.values()]
        twice = sum(map(len, distinct)) - len(set().union(*distinct))
        if twice:
            found.append(f"{twice} test videos are in several splits, and each is one unit in all of them")
        return found

    def mean(self, name: str) -> MeanScore:
        """The mean of one metric over the splits, with its interval."""
        scores = {split: scores[name] for split, scores in self.scores.items()}
        one = next(iter(scores.values()))
        metric = replace(
            next(iter(self._metrics(name).values())), statistic=self._everywhere(self._metrics(name))
        )
        low, high = self.sample.interval(metric)
        chance, control, pixels = (
            None if None in (found := [getattr(score, fact) for score in scores.values()]) else _over(found)
            for fact in ("chance", "control", "pixels")
        )
        one = next(iter(scores.values()))
        return MeanScore(
            metric=name,
            unit=one.unit,
            better=one.better,
            value=_over([score.value for score in scores.values()]),
            low=low,
            high=high,
            by_split={split: score.value for split, score in scores.items()},
            **self.sample.behind(metric),
            chance=chance,
            pixels=pixels,
            headline=one.headline,
            **({} if control is None else self._lift(metric, control)),
        )

    def _lift(self, metric: Metric, control: float) -> dict[str, float]:
        """The lift, with its interval if the controls' answers are in memory."""
        name, value = metric.name, _over([scores[metric.name].value for scores in self.scores.values()])
        drawn = {
            split: {seed: by_seed[seed] for seed in by_seed if name in self.control_values[split][seed]}
            for split, by_seed in self.controls_of.items()
        }
        if not all(drawn.values()):
            return {"control": control, "lift": value - control}
        averaged = {
            split: mean_metric([metrics[name] for metrics in by_seed.values()])
            for split, by_seed in drawn.items()
        }
        everywhere = [
            seed for seed in next(iter(drawn.values())) if all(seed in one for one in drawn.values())
        ]
        against = replace(metric, statistic=self._everywhere(averaged))
        return self.sample.lift(
            value,
            self.sample.contrasts({name: (against, metric)})[name],
            control=control,
            draws=[
                _over([values[seed][name] for values in self.control_values.values()])
                for seed in sorted(everywhere)
            ],
            scale=metric.scale,
        )

    def _metrics(self, name: str) -> dict[str, Metric]:
        return {split: metrics[name] for split, metrics in self.metrics_of.items()}

    def _everywhere(self, metrics: Mapping[str, Metric]) -> Mean | Statistic:
        """The mean over splits of one metric, as a statistic of the rows of all splits."""
        ends = dict(
            zip(self.videos, np.cumsum([len(videos) for videos in self.videos.values()]), strict=True)
        )
        total = sum(len(videos) for videos in self.videos.values())
        spans = {split: slice(end - len(self.videos[split]), end) for split, end in ends.items()}
        statistics = {split: metric.statistic for split, metric in metrics.items()}
        return mean_statistic([_among(one, spans[split], total) for split, one in statistics.items()])


def _among(one: Mean | Statistic, span: slice, total: int) -> Mean | Statistic:
    """A statistic of one split's rows, among the rows of all splits."""
    if isinstance(one, Statistic):
        return Statistic(lambda weights_RN: one(weights_RN[:, span]))
    values_N, weights_N = np.zeros(total), np.zeros(total)
    values_N[span], weights_N[span] = one.values_N, one.weights_N
    return Mean(value=one.value, values_N=values_N, weights_N=weights_N)


def _over(values: Sequence[float]) -> float:
    return float(np.mean(values))
