"""Recognition on frozen features: a linear probe on clips, and k nearest neighbours of videos (PROTOCOL 4).

Legend: N videos, M clips, D features, K classes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vcp_core.benchmarks.grid import clip_rows, clips, video_means
from vcp_core.benchmarks.metrics import Metric, mean_of, mean_over, weighted_mean
from vcp_core.benchmarks.parts import Part
from vcp_core.benchmarks.sizes import Probe, Ranking
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset
from vcp_core.features.bank import FeatureBank
from vcp_core.probes.knn import knn_probabilities
from vcp_core.probes.logistic import fit_with_holdout, num_fits
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import (
    Fit,
    Predictions,
    Table,
    confusion,
    per_class,
    rounded,
    sureness_column,
)

__all__ = ["availability", "clips", "metrics", "parts", "predict", "tables"]

METHODS = ("linear", "knn")
FINETUNE = "finetune"  # column of a finetuned network's answers (vcp_core.pretraining)
TOP = 5
Floats = npt.NDArray[np.floating]


def availability(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> str | None:
    """None: any dataset with two classes on both sides carries recognition."""
    return None


def parts(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> tuple[Part, ...]:
    """The linear probe on grid clips, and the nearest neighbours of videos."""
    train, test = len(dataset.side("train")), len(dataset.side("test"))
    num_clips = protocol.grid.num_clips
    probe = Probe(
        rows=train * num_clips,
        columns=spec.feature_dim,
        classes=len(dataset.classes),
        fits=num_fits(protocol.probe.l2),
        held=(train + test) * num_clips * spec.feature_dim,
    )
    neighbours = Ranking(queries=test, gallery=train, columns=spec.feature_dim)
    return (
        Part(benchmark="recognition", name="linear", size=probe),
        Part(benchmark="recognition", name="knn", size=neighbours),
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
    """Fit a method on the training split's grid clips, answer the test split's videos."""
    answer = {"linear": _by_probe, "knn": _by_neighbours}[part]
    answers_NK, fits = answer(bank, dataset, protocol, spec, on_units)
    test = dataset.side("test")
    return Predictions(
        benchmark="recognition",
        answers=dataset.classes,
        columns={
            "video": [video.id for video in test],
            "group": [video.group for video in test],
            "label": [video.label for video in test],
            part: ranked_classes(answers_NK, dataset.classes),
            sureness_column(part): rounded(-np.sort(-answers_NK, axis=1)[:, :TOP]),
        },
        facts={
            "looped": sum(video.num_frames < spec.clip_span for video in test),
            "training": training_sizes(dataset),
        },
        fits=fits,
    )


def _by_probe(
    bank: FeatureBank, dataset: Dataset, protocol: Protocol, spec: BackboneSpec, on_units: OnUnits
) -> tuple[Floats, tuple[Fit, ...]]:
    """Class probabilities of the test videos, the mean over their clips, (N, K), and the fit."""
    train, num_clips, stage = dataset.side("train"), protocol.grid.num_clips, spec.stages[-1]
    fitted = fit_with_holdout(
        clip_rows(bank, train, protocol, spec, stage=stage),
        _labels(dataset).repeat(num_clips),
        [video.group or video.id for video in train for _ in range(num_clips)],
        num_classes=len(dataset.classes),
        candidates=protocol.probe.l2,
        holdout_fraction=protocol.probe.holdout_fraction,
        max_iterations=protocol.probe.max_iterations,
        tolerance=protocol.probe.tolerance,
        on_units=on_units,
    )
    test = dataset.side("test")
    # Read after the fit, which needs the memory.
    by_clip_MK = fitted.probe.probabilities(clip_rows(bank, test, protocol, spec, stage=stage))
    by_video_NK: Floats = by_clip_MK.reshape(len(test), num_clips, -1).mean(axis=1)
    return by_video_NK, (Fit(name="linear", **fitted.report()),)


def _by_neighbours(
    bank: FeatureBank, dataset: Dataset, protocol: Protocol, spec: BackboneSpec, on_units: OnUnits
) -> tuple[Floats, tuple[Fit, ...]]:
    """Class probabilities of the test videos by their nearest training videos, (N, K); nothing is fitted."""
    test_ND, train_ND = (
        video_means(bank, dataset.side(split), protocol, spec, stage=spec.stages[-1])
        for split in ("test", "train")
    )
    answers_NK = knn_probabilities(
        test_ND,
        train_ND,
        _labels(dataset),
        num_classes=len(dataset.classes),
        k=protocol.knn.k,
        temperature=protocol.knn.temperature,
    )
    on_units(1)
    return answers_NK, ()


def _labels(dataset: Dataset) -> npt.NDArray[np.intp]:
    """The number of each training video's class."""
    classes = dataset.classes
    return np.array([classes.index(video.label) for video in dataset.side("train")])


def training_sizes(dataset: Dataset) -> dict[str, int]:
    """Number of training videos of each class; the chance level depends on these.

    >>> from pathlib import Path
    >>> from vcp_core.datasets.manifest import Video
    >>> video = Video(id="a.mp4", label="wave", split="train", group=None, sha256="0" * 64, num_frames=96)
    >>> training_sizes(Dataset(name="one", split_name="1", root=Path("/data"), videos=(video,)))
    {'wave': 1}
    """
    return dict(sorted(Counter(video.label for video in dataset.side("train")).items()))


def ranked_classes(scores_NK: npt.NDArray[np.floating], classes: Sequence[str]) -> list[object]:
    """Names of the best five classes of every row, the best first.

    >>> ranked_classes(np.array([[0.2, 0.4, 0.4]]), ["clap", "run", "wave"])
    [['run', 'wave', 'clap']]
    """
    # A stable sort: equal scores rank by class name. A partial sort leaves their order open.
    best_NK = np.argsort(-scores_NK, axis=1, kind="stable")[:, :TOP]
    return [[classes[k] for k in row] for row in best_NK]


def _answered(predictions: Predictions) -> list[str]:
    return [method for method in (*METHODS, FINETUNE) if method in predictions.columns]


def metrics(predictions: Predictions) -> list[Metric]:
    """Top-1, top-5 and mean per-class accuracy, by the linear probe, knn, or finetuning.

    Chance of top-1 and top-5 is the score of always answering the classes that are most frequent in training.
    Chance of the mean over classes is 1/K, because any constant answer scores 1/K.

    >>> columns = {"label": ["clap", "wave", "wave"], "linear": [["wave", "clap"]] * 3}
    >>> answered = Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    >>> [(metric.name, round(metric.value(3), 1), metric.chance) for metric in metrics(answered)]
    [('recognition.top1', 66.7, 0.5), ('recognition.top5', 100.0, 1.0), ('recognition.mean_class', 50.0, 0.5)]
    """
    labels = np.array(predictions.column("label"))
    num_classes = len(predictions.answers)
    present = [name for name in predictions.answers if (labels == name).any()]
    of_top1, of_top5 = (chance_of_frequent(predictions, depth) for depth in (1, TOP))
    found = []
    for method in _answered(predictions):
        prefix = "recognition." if method == METHODS[0] else f"recognition.{method}."
        top1, top5 = _hits(predictions, method)
        by_class = mean_of(*(mean_over(top1, labels == name) for name in present))
        found += [
            Metric(
                name=f"{prefix}top1",
                statistic=weighted_mean(top1),
                chance=of_top1,
                headline=True,
            ),
            Metric(
                name=f"{prefix}top5",
                statistic=weighted_mean(top5),
                chance=of_top5,
            ),
            Metric(name=f"{prefix}mean_class", statistic=by_class, chance=1 / num_classes),
        ]
    return found


def chance_of_frequent(predictions: Predictions, depth: int) -> float:
    """Share of test videos whose class is among the `depth` most frequent classes of the training side.

    If classes of equal size compete for the last places, the result is the mean over all choices among them.
    So it is depth/K if all classes have one size, or if the predictions do not record the sizes.

    >>> classes = ("clap", "run", "wave")
    >>> facts = {"training": {"clap": 9, "run": 4, "wave": 4}}
    >>> columns = {"label": ["clap", "run", "wave", "wave"]}
    >>> answered = Predictions(benchmark="recognition", answers=classes, columns=columns, facts=facts)
    >>> chance_of_frequent(answered, 1), chance_of_frequent(answered, 2)
    (0.25, 0.625)
    """
    sizes: dict[str, int] = predictions.facts.get("training", {})
    tested = Counter(predictions.column("label"))
    by_size = sorted(predictions.answers, key=lambda name: -sizes.get(name, 0))
    left, found = depth, Fraction(0)
    for _, names in itertools.groupby(by_size, key=lambda name: sizes.get(name, 0)):
        alike = [tested[name] for name in names]
        chosen = min(left, len(alike))
        found += Fraction(chosen * sum(alike), len(alike))
        left -= chosen
    return float(found / tested.total())


def _hits(predictions: Predictions, method: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each video: whether its class is the first answer, and whether it is among the first five."""
    answered = list(zip(predictions.column(method), predictions.column("label"), strict=True))
    first = [row[0] == label for row, label in answered]
    return np.array(first), np.array([label in row for row, label in answered])


def tables(predictions: Predictions) -> list[Table]:
    """For each method, recall per class (top-1 and top-5) and the confusion.

    >>> columns = {"label": ["clap", "wave", "wave"], "linear": [["wave", "clap"]] * 3}
    >>> answered = Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    >>> {table.name: table.values for table in tables(answered)}["recognition.confusion"]
    ((0.0, 1.0), (0.0, 2.0))
    """
    truth = predictions.column("label")
    methods = _answered(predictions)
    recalls: dict[str, npt.NDArray[np.bool_]] = {}
    for method in methods:
        top1, top5 = _hits(predictions, method)
        recalls |= {f"{method} top1": top1, f"{method} top5": top5}
    made = [per_class("recognition.per_class", truth, predictions.answers, recalls)]
    for method in methods:
        prefix = "recognition." if method == METHODS[0] else f"recognition.{method}."
        guessed = [row[0] for row in predictions.column(method)]
        made.append(confusion(truth, guessed, predictions.answers, f"{prefix}confusion"))
    return made
