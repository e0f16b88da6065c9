"""What the client reads is what the service writes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from vcpbench_client import answers, comparing
from vcpbench_client.answers import Evaluation, Progress, Score, Status, plain, read
from vcpbench_client.errors import BadAnswer

OPENAPI = json.loads((Path(__file__).parents[1] / "service" / "openapi.json").read_text())["components"][
    "schemas"
]
# Classes of the client by the service's own names, where those differ.
SCHEMAS = {"Progress": "ProgressOut", "Queue": "QueueOut", "Worker": "WorkerOut", "ComparedMany": "ManyOut"}
CLASSES = [
    one
    for module in (answers, comparing)
    for one in vars(module).values()
    if dataclasses.is_dataclass(one) and one.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_member_is_one_that_the_service_documents(kind: Any) -> None:
    name = SCHEMAS.get(kind.__name__, kind.__name__)
    schema = OPENAPI.get(f"{name}Out") or OPENAPI[name]
    fields = {one.name: one for one in dataclasses.fields(kind)}
    assert fields.keys() <= schema["properties"].keys()
    for field in fields.values():
        optional = (
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        )
        assert optional or field.name in schema.get("required", ())


def test_members_of_a_newer_server_are_ignored_and_missing_ones_named() -> None:
    found = read(Progress, {"clips_done": 1, "clips_total": 2, "frames": 3})
    assert found == Progress(clips_done=1, clips_total=2)
    with pytest.raises(BadAnswer, match=r"Progress: .*clips_total.*another version"):
        read(Progress, {"clips_done": 1})


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (Progress, [], "Progress is []"),
        (Progress, {"clips_done": "many", "clips_total": 2}, "Progress.clips_done is 'many'"),
        (Status, {"queues": [{"name": 1}], "workers": []}, "Status.queues.name is 1"),
        (Evaluation, {"created_at": "yesterday"}, "'yesterday' is no time"),
        (Evaluation, {"unavailable": {"cloze": 3}}, "Evaluation.unavailable.cloze is 3"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(kind: Any, value: Any, says: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        read(kind, value)
    assert says in str(caught.value)


def test_whole_numbers_are_numbers_and_what_was_read_is_json_again() -> None:
    value = {
        "metric": "a.b",
        "value": 40,
        "low": 39.5,
        "high": 41,
        "num_videos": 2,
        "num_units": 2,
        "units": "video",
    }
    found = read(Score, value)
    assert isinstance(found.value, float)
    assert json.loads(json.dumps(plain(found))).items() >= value.items()
