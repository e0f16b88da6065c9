"""Numbers above their ceilings: refused when they are asked for, readable where they are stored."""

from __future__ import annotations

from typing import Any

import pytest

from records.models import DatasetRow, ProtocolRow
from records.repositories import datasets
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.service.kit import num_rows, problem_of
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, protocol_from

ATTACKS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"control": {"seeds": list(range(10_000))}},
        "control.seeds has 10000 items, above its ceiling of 20",
        "fewer",
    ),
    ({"grid": {"num_clips": 10**9}}, "grid.num_clips = 1000000000 is above its ceiling of 1000", "Lower it"),
]
BACKBONE = "r3d_tiny"


@pytest.mark.parametrize(("numbers", "says", "next_step"), ATTACKS)
def test_a_protocol_above_a_ceiling_is_refused_and_not_stored(
    api: Served, numbers: dict[str, Any], says: str, next_step: str
) -> None:
    found = problem_of(api.client.post("/v1/protocols", json={"name": "attack", **numbers}), 422)
    assert says in found["detail"]
    assert next_step in found["detail"]
    assert num_rows(api, ProtocolRow) == 0


@pytest.mark.parametrize(("numbers", "says", "next_step"), ATTACKS)
def test_results_under_a_stored_protocol_above_a_ceiling_can_be_read_and_not_asked_for(
    api: Served, numbers: dict[str, Any], says: str, next_step: str
) -> None:
    protocol = Protocol.model_validate({**PROTOCOLS["quick-v1"].model_dump(), "name": "attack", **numbers})
    with api.database.session() as session:
        dataset, weights = ready_dataset(session), ready_checkpoint(session)
        done(session, weights, dataset, {HEADLINE: 50.0}, protocol=protocol)
        other = str(ready_checkpoint(session, "other").id)
    board = api.client.get("/v1/leaderboard", params={"dataset": "gestures", "protocol": "attack"})
    assert board.status_code == 200
    assert [row["model"] for row in board.json()["rows"]] == ["tiny"]
    listed = {one["name"]: one for one in api.client.get("/v1/protocols").json()["items"]}["attack"]
    assert listed["older"]
    assert listed["hash"] == protocol.hash
    assert listed["numbers"] == protocol.model_dump(mode="json")
    body = {"checkpoint": other, "dataset": "gestures", "protocol": "attack"}
    assert says in problem_of(api.client.post("/v1/evaluations", json=body), 409)["detail"]
    query = {"dataset": "gestures", "protocol": "attack", "backbone": BACKBONE}
    assert says in problem_of(api.client.get("/v1/estimates", params=query), 409)["detail"]


def of_size(api: Served, name: str, num_videos: int, num_frames: int) -> None:
    """A dataset that was indexed: only its summary is known to the service."""
    with api.database.session() as session:
        row: DatasetRow = ready_dataset(session, name)
        row.summary = {
            "videos": {"train": num_videos - 20_000, "test": 20_000},
            "frames": {"least": num_frames, "median": num_frames, "most": num_frames},
        }


def test_an_evaluation_of_too_many_clips_is_refused_by_the_datasets_summary(api: Served) -> None:
    of_size(api, "kinetics", 260_000, 300)
    with api.database.session() as session:
        checkpoint = str(ready_checkpoint(session).id)
        for factor in (10, 25):
            numbers = {"grid": {"num_clips": 10 * factor}, "cloze": {"num_tuples": 1}}
            datasets.keep_protocol(session, protocol_from({"name": f"times-{factor}", **numbers}))
    body = {"checkpoint": checkpoint, "dataset": "kinetics"}
    taken = api.client.post("/v1/evaluations", json={**body, "protocol": "times-10"})
    assert taken.status_code == 201, taken.text
    found = problem_of(api.client.post("/v1/evaluations", json={**body, "protocol": "times-25"}), 422)
    assert (
        "needs about 66,820,000 clips for each network, and a plan has at most 50,000,000" in found["detail"]
    )
    assert "Lower grid.num_clips (250)" in found["detail"]
