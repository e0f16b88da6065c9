"""The command that an evaluation's page names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from records.db import Database
from records.models import Checkpoint, DatasetRow, Evaluation, EvaluationState, PartRow, ProtocolRow, Shard
from records.settings import Settings
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.worker.test_work import of
from vcp_core.catalog.errors import VersionError
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.evaluation.machine import joined
from worker.tasks.score import _devices, command_of, score

ID = UUID("0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11")
QUICK = PROTOCOLS["quick-v1"]


def evaluation(source: dict[str, Any], *, is_control: bool = False, **protocol: str) -> Evaluation:
    """Of a checkpoint that declared what it could."""
    checkpoint = Checkpoint(
        backbone="r3d_tiny",
        prefix="teacher.",
        variant="bgr",
        input_spec="frames=8",
        pretrained_on="ucf101:1, none",
    )
    numbers = ProtocolRow(**{"name": QUICK.name, "hash": QUICK.hash, **protocol})
    dataset = DatasetRow(name="mine", source=source)
    return Evaluation(id=ID, checkpoint=checkpoint, dataset=dataset, protocol=numbers, is_control=is_control)


def test_built_in_videos_and_numbers_need_no_server() -> None:
    assert command_of(evaluation({"name_or_path": "playground-64"})) == (
        "vcpbench local FILE --dataset playground-64 --protocol quick-v1 --backbone r3d_tiny "
        "--prefix teacher. --variant bgr --input-spec frames=8 --pretrained-on 'ucf101:1, none'"
    )


@pytest.mark.parametrize(
    ("source", "protocol", "options"),
    [
        ({"name_or_path": "/data/a"}, {}, "--dataset PLACE"),
        ({"name_or_path": "/data/a", "test_groups": ["P3", "P 4"]}, {},
         "--dataset PLACE --test-groups P3 --test-groups 'P 4'"),
        ({"name_or_path": "/data/a", "suffixes": [".xyz", ".abc"]}, {},
         "--dataset PLACE --suffix .xyz --suffix .abc"),
        ({"name_or_path": "/data/a", "csv": "/data/a.csv"}, {}, "--dataset PLACE --csv TABLE"),
        ({"name_or_path": "ucf101:/data/u", "split": "2", "lists": "/l"}, {},
         "--dataset ucf101:PLACE --lists LISTS"),
        ({"name_or_path": "playground"}, {"name": "mine"}, "--dataset playground"),
        ({"name_or_path": "playground"}, {"hash": "0" * 64}, "--dataset playground"),
    ],
)  # fmt: skip
def test_what_only_the_server_knows_by_name_is_asked_of_it(
    source: dict[str, Any], protocol: dict[str, str], options: str
) -> None:
    assert command_of(evaluation(source, **protocol)) == f"vcpbench reproduce {ID} {options}"


def test_a_graph_is_not_named_because_its_name_comes_from_its_file() -> None:
    asked = evaluation({"name_or_path": "playground-64"})
    asked.checkpoint.backbone, asked.checkpoint.graph = "graph-47bf8a36", {"structure": "47bf8a36"}
    assert "graph" not in (command_of(asked) or "")


def test_a_control_has_no_command_because_it_has_no_file() -> None:
    assert command_of(evaluation({"name_or_path": "playground"}, is_control=True)) is None


def test_what_was_begun_by_another_version_is_not_scored_by_this_one(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with database.session() as session:
        dataset = ready_dataset(session)
        facts = {"state": EvaluationState.SCORING, "results": None, "engine": "planes-triangle-1/2/1/cloze"}
        found = done(session, ready_checkpoint(session, "a"), dataset, {}, **facts)
    work = of(settings, database, tmp_path)
    claim = replace(work.claim, subject_id=found.id)
    with pytest.raises(VersionError, match="vcpbench was updated while this was evaluated"):
        score(replace(work, claim=claim))


def test_workers_with_other_threads_are_told_apart() -> None:
    counts = [{"batch_clips": 8, "network_threads": threads, "forwarded_clips": 3} for threads in (4, 2, 4)]
    shards = [Shard(device="cpu: x86_64", counts=one) for one in counts]
    old = Shard(device="cpu: x86_64", counts={"forwarded_clips": 3})
    parts = [PartRow(machine={"blas_threads": threads}) for threads in (1, 4)]
    told = joined(_devices([*shards, old], parts)["machines"])
    assert told == {"batch_clips": 8, "network_threads": "2; 4", "blas_threads": "1; 4"}
    assert joined(_devices([old])["machines"]) == {}
