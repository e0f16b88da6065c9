"""Published numbers: those of the protocol page, marked, and never able to pass for measured ones."""

from __future__ import annotations

import dataclasses

import pytest

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.reported import REPORTED, ReportedRow, reported_rows
from vcp_core.results.types import Score


def test_rows_hold_the_numbers_of_the_protocol_page() -> None:
    finetuned = {
        (row.method, row.backbone, row.dataset): row.scores["recognition.finetune.top1"]
        for row in REPORTED
        if "recognition.finetune.top1" in row.scores
    }
    page = {
        ("VCP", "c3d"): (68.5, 32.5),
        ("VCP", "r3d"): (66.0, 31.5),
        ("VCP", "r2plus1d"): (66.3, 32.2),
        ("VCOP", "c3d"): (65.6, 28.4),
        ("VCOP", "r3d"): (64.9, 29.5),
        ("VCOP", "r2plus1d"): (72.4, 30.9),
    }
    assert finetuned == {
        (*who, dataset): value
        for who, values in page.items()
        for dataset, value in zip(("ucf101", "hmdb51"), values, strict=True)
    }
    (retrieval,) = [row for row in reported_rows("ucf101") if "retrieval.max.top1" in row.scores]
    assert (retrieval.method, retrieval.backbone) == ("VCP", "r3d")
    assert list(retrieval.scores.values()) == [18.6, 33.6, 42.5, 53.5, 68.1]
    (random,) = [row for row in REPORTED if row.pretrained_on is None]
    assert (random.backbone, random.scores["retrieval.top1"]) == ("r3d_18", 15.3)


@pytest.mark.parametrize("row", REPORTED, ids=lambda row: f"{row.method} {row.backbone} {row.dataset}")
def test_every_row_is_marked_has_a_source_and_names_what_the_catalog_knows(row: ReportedRow) -> None:
    assert row.status == "reported"
    assert row.source
    assert len(row.protocol.split()) > 5
    assert row.backbone in BACKBONES
    assert row.dataset in DATASETS
    assert row.pretrained_on is None or row.pretrained_on in DATASETS


def test_a_row_is_no_score_has_no_interval_and_cannot_be_changed() -> None:
    row = REPORTED[0]
    assert not isinstance(row, Score)
    assert not {"low", "high", "lift"} & {field.name for field in dataclasses.fields(row)}
    with pytest.raises(ValueError, match="status"):
        dataclasses.replace(row, status="measured")
    with pytest.raises(TypeError):
        row.scores["recognition.finetune.top1"] = 99.0  # type: ignore[index]


@pytest.mark.parametrize("scores", [{}, {"retrieval.top1": 0.5 * 300}, {"retrieval.top1": -1.0}])
def test_scores_that_are_no_percent_are_refused(scores: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="scores are percent"):
        dataclasses.replace(REPORTED[0], scores=scores)


def test_a_dataset_that_no_paper_reports_on_has_no_rows() -> None:
    assert reported_rows("playground") == ()
