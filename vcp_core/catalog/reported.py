"""Published numbers (PROTOCOL 8): reference rows, never mixed with measured ones.

They were measured by their authors, by their own code, decoder and protocol, and none carries an interval. A
row says so wherever it is shown: `status` is always "reported".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

VCP = "Luo et al., Video Cloze Procedure, AAAI 2020, arXiv:2001.00294"
VCOP = "Xu et al., Video Clip Order Prediction, CVPR 2019"

FINETUNED = (
    "recognition by finetuning the whole network, 16-frame clips of 112 x 112, 10 clips a test video, "
    "mean over splits 1 to 3"
)
RETRIEVED = (
    "nearest neighbours of test videos in the training split by the last stage, max-pooled and flattened, "
    "mean over 10 clips"
)


@dataclass(frozen=True, kw_only=True)
class ReportedRow:
    """What a paper says that a method scored.

    Attributes:
        method: As the paper calls it.
        backbone: Its architecture, by the catalog's name where it is in the catalog.
        dataset: On which it was tested, by the catalog's name.
        pretrained_on: What it was trained on before, by the catalog's name; None for random weights.
        scores: Percent, by the name of the metric that is nearest here.
        protocol: In words: how it was measured, which is not how anything is measured here.
        source: The paper that reports it.
        status: What tells it from a measurement.
    """

    method: str
    backbone: str
    dataset: str
    pretrained_on: str | None
    scores: Mapping[str, float]
    protocol: str
    source: str
    status: Literal["reported"] = field(default="reported", init=False)

    def __post_init__(self) -> None:
        wrong = {metric: value for metric, value in self.scores.items() if not 0 <= value <= 100}
        if wrong or not self.scores:
            raise ValueError(f"{self.method}, {self.backbone}: scores are percent, got {wrong or 'none'}.")
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))


def _finetuned(method: str, source: str, percent: Mapping[str, tuple[float, float]]) -> list[ReportedRow]:
    """Rows of one table: backbone -> top-1 on UCF101 and on HMDB51, pretrained on UCF101."""
    return [
        ReportedRow(
            method=method,
            backbone=backbone,
            dataset=dataset,
            pretrained_on="ucf101",
            scores={"recognition.finetune.top1": value},
            protocol=FINETUNED,
            source=source,
        )
        for backbone, values in percent.items()
        for dataset, value in zip(("ucf101", "hmdb51"), values, strict=True)
    ]


REPORTED: tuple[ReportedRow, ...] = (
    *_finetuned("VCP", VCP, {"c3d": (68.5, 32.5), "r3d": (66.0, 31.5), "r2plus1d": (66.3, 32.2)}),
    *_finetuned("VCOP", VCOP, {"c3d": (65.6, 28.4), "r3d": (64.9, 29.5), "r2plus1d": (72.4, 30.9)}),
    ReportedRow(
        method="VCP",
        backbone="r3d",
        dataset="ucf101",
        pretrained_on="ucf101",
        scores={
            f"retrieval.max.top{k}": value
            for k, value in zip((1, 5, 10, 20, 50), (18.6, 33.6, 42.5, 53.5, 68.1), strict=True)
        },
        protocol=RETRIEVED,
        source=VCP,
    ),
    ReportedRow(
        method="random weights",
        backbone="r3d_18",
        dataset="ucf101",
        pretrained_on=None,
        scores={"retrieval.top1": 15.3},
        protocol="retrieval by random weights: 15 is what architecture alone gives, and not an achievement",
        source="PROTOCOL 8, which names no paper for it",
    ),
)


def reported_rows(dataset: str) -> tuple[ReportedRow, ...]:
    """What papers report on a dataset, by its catalog name; nothing where nobody does.

    >>> [row.scores["recognition.finetune.top1"] for row in reported_rows("hmdb51") if row.backbone == "c3d"]
    [32.5, 28.4]
    """
    return tuple(row for row in REPORTED if row.dataset == dataset)
