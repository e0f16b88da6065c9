"""Published numbers: those of the protocol page, marked, and never able to pass for measured ones."""

from __future__ import annotations

import dataclasses

import pytest

from tests.pages import ROOT, table_between
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.reported import REPORTED, ReportedRow, reported_rows
from vcp_core.results.types import Score


def test_rows_hold_the_numbers_of_the_protocol_page() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    shown: dict[tuple[str, ...], list[float]] = {}
    for method, backbone, *cells in table_between(page, "reported"):
        # Two columns are the datasets of finetuning, five the depths of retrieval on UCF101.
        values = [float(cell) for cell in cells if cell]
        shown[method, backbone.strip("`"), "finetuned" if len(cells) == 2 else "retrieved"] = values
    known: dict[tuple[str, ...], list[float]] = {}
    for row in REPORTED:
        task = "finetuned" if "recognition.finetune.top1" in row.scores else "retrieved"
        known.setdefault((row.method, row.backbone, task), []).extend(row.scores.values())
    assert shown == known
    assert [row.dataset for row in REPORTED][:2] == ["ucf101", "hmdb51"], "the order of the page's columns"


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
