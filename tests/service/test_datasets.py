"""What a dataset's summary tells a client of the files that a worker has seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from records.models import DatasetRow
from tests.datasets_on_disk import write_messy
from tests.served import Served
from tests.service.finished import ready_dataset
from worker.child import index


@pytest.fixture
def indexed(api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetRow:
    """A messy folder as a worker has indexed it."""
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    source = {"name_or_path": str(write_messy(tmp_path / "set"))}
    answer = index(lambda done, total: None, source=source, name="messy", out=str(tmp_path / "manifest.json"))
    with api.database.session() as session:
        row = ready_dataset(session, "messy", fingerprint=answer["fingerprint"])
        row.summary = answer["summary"]
    return row


def test_the_summary_of_a_messy_folder_says_what_became_of_every_file(
    api: Served, indexed: DatasetRow, tmp_path: Path
) -> None:
    summary = api.client.get("/v1/datasets/messy").json()["summary"]
    assert summary == json.loads(json.dumps(indexed.summary))  # PostgreSQL took every name
    assert (summary["seen"], summary["taken"]) == (21, 9)
    assert {left["id"] for left in summary["left_out"]} == {"run/empty.mp4", "run/page.mp4"}
    assert sum(summary["left_out_by_reason"].values()) == 2
    not_taken = {files["reason"]: files["examples"] for files in summary["not_taken"]}
    assert not_taken["the suffix .xyz is not a video's"] == [r"jump/two\nlines.xyz", "run/1.xyz"]
    assert not_taken["the name is not UTF-8"] == [r"jump/caf\xe9.mp4"]
    assert summary["damaged"]["videos"] == 1
    assert any("sit" in warning for warning in summary["warnings"])
    assert str(tmp_path) not in str(summary)  # where the videos lie is the operators' business


def test_a_dataset_is_registered_with_suffixes_of_its_own(api: Served, tmp_path: Path) -> None:
    body = {"name": "odd", "location": str(tmp_path), "suffixes": [".xyz"]}
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    with api.database.session() as session:
        row = session.query(DatasetRow).filter_by(name="odd").one()
        assert row.source == {"name_or_path": str(tmp_path), "suffixes": [".xyz"]}
