"""Published numbers, for reference; they are never mixed with measured scores (PROTOCOL 8).

The papers' authors measured these numbers with their own code, decoder and protocol, and gave no intervals.
Every row that shows such a number says so: its `status` is always "reported".
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
    """The scores that a paper reports for a method.

    Attributes:
        method: The method's name in the paper.
        backbone: The architecture, by its name in the catalog if it has one there.
        dataset: The tested dataset, by its name in the catalog.
        pretrained_on: The dataset of the pretraining, by its name in the catalog; None for random weights.
        scores: The scores in percent, by the name of our nearest metric.
        protocol: How the paper measured, in words. vcpbench measures otherwise.
        source: The paper that reports the scores.
        status: Always "reported", which tells the row from a measurement.

    Raises:
        ValueError: If there is no score, or a score is not from 0 to 100.

    >>> row = reported_rows("ucf101")[0]
    >>> row.method, row.backbone, dict(row.scores), row.status
    ('VCP', 'c3d', {'recognition.finetune.top1': 68.5}, 'reported')
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
            raise ValueError(
                f"{self.method}, {self.backbone}: scores are percent, at least one. Got {wrong or 'none'}."
            )
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))


def _finetuned(method: str, source: str, percent: Mapping[str, tuple[float, float]]) -> list[ReportedRow]:
    """Make the rows of one paper's table from each backbone's top-1 on UCF101 and on HMDB51."""
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
    """List the rows that papers report on a dataset, given by its name in the catalog.

    >>> [row.scores["recognition.finetune.top1"] for row in reported_rows("hmdb51") if row.backbone == "c3d"]
    [32.5, 28.4]
    """
    return tuple(row for row in REPORTED if row.dataset == dataset)
