"""Retrieval: every test video queries the training split by cosine distance (PROTOCOL 4).

Distances are between pooled features, which give the headline. If the protocol asks for it, videos are also
ranked by the papers' max-pooled feature. Its columns and metrics begin with `max.`. Both features come from
the same clips and the same forward pass.

Legend: N queries, M gallery videos, D features, K depths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from math import comb
from typing import cast

import numpy as np

from vcp_core.benchmarks.grid import clips, video_means
from vcp_core.benchmarks.metrics import Metric, weighted_mean
from vcp_core.benchmarks.parts import Part
from vcp_core.benchmarks.sizes import Ranking
from vcp_core.catalog.protocols import Protocol, RetrievalFeature
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset
from vcp_core.features.bank import FeatureBank
from vcp_core.probes.ranking import retrieval_ranks
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions, Table, per_class, rounded

__all__ = ["availability", "clips", "metrics", "parts", "predict", "tables"]

PREFIXES: dict[RetrievalFeature, str] = {"pooled": "", "max-pooled": "max."}


def availability(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> str | None:
    """None: any dataset with two sides carries retrieval."""
    return None


def parts(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> tuple[Part, ...]:
    """A ranking by each feature."""
    queries, gallery = len(dataset.side("test")), len(dataset.side("train"))
    dims = {"pooled": spec.feature_dim, "max-pooled": spec.max_pooled_dim}
    return tuple(
        Part(
            benchmark="retrieval",
            name=feature,
            size=Ranking(queries=queries, gallery=gallery, columns=dims[feature]),
        )
        for feature in protocol.retrieval.features
    )


def predict(
    bank: FeatureBank,
    dataset: Dataset,
    protocol: Protocol,
    spec: BackboneSpec,
    part: str,
    *,
    on_units: OnUnits = ignore,
) -> Predictions:
    """Rank the training videos for every test video. Both sides are sorted by id, so ties rank by id."""
    gallery, queries = dataset.side("train"), dataset.side("test")
    classes, feature = dataset.classes, cast(RetrievalFeature, part)
    stage = spec.stages[-1] if feature == "pooled" else spec.max_pooled_stage
    ranked = retrieval_ranks(
        video_means(bank, queries, protocol, spec, stage=stage),
        video_means(bank, gallery, protocol, spec, stage=stage),
        np.array([classes.index(video.label) for video in queries]),
        np.array([classes.index(video.label) for video in gallery]),
        ks=protocol.retrieval.ks,
    )
    on_units(1)
    prefix = PREFIXES[feature]
    hits = {
        f"{prefix}hit_at_{k}": [bool(hit) for hit in ranked.hits_NK[:, index]]
        for index, k in enumerate(protocol.retrieval.ks)
    }
    return Predictions(
        benchmark="retrieval",
        answers=classes,
        columns={
            "video": [video.id for video in queries],
            "group": [video.group for video in queries],
            "label": [video.label for video in queries],
            f"{prefix}average_precision": [float(value) for value in ranked.average_precision_N],
            f"{prefix}neighbours": [[gallery[i].id for i in row] for row in ranked.neighbours_NK],
            f"{prefix}similarity": rounded(ranked.similarity_N),
            **hits,
        },
        facts={
            "ks": list(protocol.retrieval.ks),
            "gallery": dict(sorted(Counter(video.label for video in gallery).items())),
        },
    )


def chance_of_hit(num_gallery: int, num_relevant: int, k: int) -> float:
    """Probability that k of `num_gallery` videos drawn at random hold a relevant one.

    >>> round(chance_of_hit(10, 1, 1), 6)
    0.1
    """
    drawn = min(k, num_gallery)
    return 1 - comb(num_gallery - num_relevant, drawn) / comb(num_gallery, drawn)


def chance_of_average_precision(num_gallery: int, num_relevant: int) -> float:
    """Expected average precision of a random order.

    The gallery has M videos, R of them relevant. Rank i holds a relevant video with probability R/M. Then the
    i - 1 ranks before it hold (i - 1)(R - 1)/(M - 1) relevant videos on average. The result is the sum over
    all ranks of that probability times (hits so far)/i, divided by R.

    >>> round(chance_of_average_precision(4, 4), 6)
    1.0
    """
    m, r = num_gallery, num_relevant
    if r == 0:
        return 0.0
    harmonic = float(sum(1 / i for i in range(1, m + 1)))
    before = (r - 1) / (m - 1) if m > 1 else 0.0
    return (harmonic + before * (m - harmonic)) / m


def _prefixes(predictions: Predictions) -> list[str]:
    return [prefix for prefix in PREFIXES.values() if f"{prefix}average_precision" in predictions.columns]


def metrics(predictions: Predictions) -> list[Metric]:
    """Hits at each depth, and mean average precision, by each feature.

    >>> columns = {"label": ["clap", "wave"], "hit_at_1": [True, False], "average_precision": [1.0, 0.5]}
    >>> facts = {"ks": [1], "gallery": {"clap": 1, "wave": 3}}
    >>> answered = Predictions(benchmark="retrieval", answers=("clap", "wave"), columns=columns, facts=facts)
    >>> [(metric.name, metric.value(2), round(metric.chance, 3)) for metric in metrics(answered)]
    [('retrieval.top1', 50.0, 0.5), ('retrieval.map', 75.0, 0.681)]
    """
    sizes: dict[str, int] = predictions.facts["gallery"]
    num_gallery = sum(sizes.values())
    labels = predictions.column("label")
    relevant = [sizes.get(label, 0) for label in labels]

    def mean_chance(of_query: Callable[[int], float]) -> float:
        # Once for each class size: a harmonic sum over 400,000 videos takes 10 ms, too long per query.
        by_size = {r: of_query(r) for r in set(relevant)}
        return float(np.mean([by_size[r] for r in relevant]))

    of_hit = {k: mean_chance(partial(chance_of_hit, num_gallery, k=k)) for k in predictions.facts["ks"]}
    of_precision = mean_chance(partial(chance_of_average_precision, num_gallery))
    found = []
    for prefix in _prefixes(predictions):
        for index, (k, chance) in enumerate(of_hit.items()):
            hits_N = np.array(predictions.column(f"{prefix}hit_at_{k}"))
            found.append(
                Metric(
                    name=f"retrieval.{prefix}top{k}",
                    statistic=weighted_mean(hits_N),
                    chance=chance,
                    headline=index == 0 and not prefix,
                )
            )
        found.append(
            Metric(
                name=f"retrieval.{prefix}map",
                statistic=weighted_mean(predictions.column(f"{prefix}average_precision")),
                chance=of_precision,
                headline=not prefix,
            )
        )
    return found


def tables(predictions: Predictions) -> list[Table]:
    """Hits per class at every depth, and mean average precision, in percent, by each feature.

    >>> columns = {"label": ["clap", "wave"], "hit_at_1": [True, False], "average_precision": [1.0, 0.5]}
    >>> facts, classes = {"ks": [1]}, ("clap", "wave")
    >>> answered = Predictions(benchmark="retrieval", answers=classes, columns=columns, facts=facts)
    >>> [(table.rows, table.columns, table.values) for table in tables(answered)]
    [(('clap', 'wave'), ('top1', 'map'), ((100.0, 100.0), (0.0, 50.0)))]
    """
    truth, ks = predictions.column("label"), predictions.facts["ks"]
    return [
        per_class(
            f"retrieval.{prefix}per_class",
            truth,
            predictions.answers,
            {f"top{k}": predictions.column(f"{prefix}hit_at_{k}") for k in ks}
            | {"map": predictions.column(f"{prefix}average_precision")},
        )
        for prefix in _prefixes(predictions)
    ]
