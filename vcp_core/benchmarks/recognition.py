"""Recognition on frozen features: a linear probe on clips, and k nearest neighbours of videos (PROTOCOL 4).

Legend: N videos, M clips, D features, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vcp_core.bank import FeatureBank
from vcp_core.benchmarks.grid import clips, video_features
from vcp_core.benchmarks.metrics import Metric, mean_of, mean_over, weighted_mean
from vcp_core.catalog.backbones import BackboneSpec
from vcp_core.catalog.protocols import Protocol
from vcp_core.datasets.manifest import Dataset
from vcp_core.probes import fit_with_holdout, knn_probabilities
from vcp_core.results import Fit, Predictions, Table, confusion

__all__ = ["availability", "clips", "metrics", "predict", "tables"]

METHODS = ("linear", "knn")
TOP = 5


def availability(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> str | None:
    """Any dataset of two classes on both sides carries recognition."""
    return None


def predict(bank: FeatureBank, dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> Predictions:
    """Fit on the training split's grid clips, answer the test split's videos."""
    classes = dataset.classes
    train, test = dataset.side("train"), dataset.side("test")
    features = {
        split: video_features(bank, dataset.side(split), protocol, spec) for split in ("train", "test")
    }
    labels_N = np.array([classes.index(video.label) for video in train])
    num_clips = protocol.grid.num_clips
    fitted = fit_with_holdout(
        features["train"].clips_MD,
        labels_N.repeat(num_clips),
        [video.group or video.id for video in train for _ in range(num_clips)],
        num_classes=len(classes),
        candidates=protocol.probe.l2,
        holdout_fraction=protocol.probe.holdout_fraction,
        max_iterations=protocol.probe.max_iterations,
        tolerance=protocol.probe.tolerance,
    )
    by_clip_MK = fitted.probe.probabilities(features["test"].clips_MD)
    answers_NK = {
        "linear": by_clip_MK.reshape(len(test), num_clips, -1).mean(axis=1),
        "knn": knn_probabilities(
            features["test"].videos_ND,
            features["train"].videos_ND,
            labels_N,
            num_classes=len(classes),
            k=protocol.knn.k,
            temperature=protocol.knn.temperature,
        ),
    }
    columns: dict[str, list[object]] = {
        "video": [video.id for video in test],
        "group": [video.group for video in test],
        "label": [video.label for video in test],
    }
    for method in METHODS:
        columns[method] = [[classes[k] for k in row] for row in _best(answers_NK[method])]
    return Predictions(
        benchmark="recognition",
        answers=classes,
        columns=columns,
        facts={"looped": sum(video.num_frames < spec.clip_span for video in test)},
        fits=(Fit(name="linear", **fitted.report()),),
    )


def _best(scores_NK: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    # Stable: equal scores rank by class name, never by what a partial sort happens to leave first.
    return np.argsort(-scores_NK, axis=1, kind="stable")[:, :TOP]


def metrics(predictions: Predictions) -> list[Metric]:
    """Top-1, top-5 and mean per-class accuracy, by the linear probe and by knn."""
    truth = predictions.column("label")
    labels = np.array(truth)
    num_classes = len(predictions.answers)
    present = [name for name in predictions.answers if (labels == name).any()]
    found = []
    for method in METHODS:
        prefix = "recognition." if method == METHODS[0] else f"recognition.{method}."
        ranked = predictions.column(method)
        top1 = np.array([row[0] == label for row, label in zip(ranked, truth, strict=True)])
        top5 = np.array([label in row for row, label in zip(ranked, truth, strict=True)])
        per_class = mean_of(*(mean_over(top1, labels == name) for name in present))
        chance = 1 / num_classes
        found += [
            Metric(name=f"{prefix}top1", statistic=weighted_mean(top1), chance=chance, headline=True),
            Metric(name=f"{prefix}top5", statistic=weighted_mean(top5), chance=min(1.0, TOP / num_classes)),
            Metric(name=f"{prefix}mean_class", statistic=per_class, chance=chance),
        ]
    return found


def tables(predictions: Predictions) -> list[Table]:
    """Confusion and recall per class, by method."""
    truth = predictions.column("label")
    made = []
    for method in METHODS:
        prefix = "recognition." if method == METHODS[0] else f"recognition.{method}."
        guessed = [row[0] for row in predictions.column(method)]
        made.append(confusion(truth, guessed, predictions.answers, f"{prefix}confusion"))
    return made
