"""The list of models: what is counted, in what order, and for whom."""

from __future__ import annotations

from typing import Any

import httpx

from records.models import CheckpointState
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset

DECLARED, READY, REJECTED = CheckpointState.DECLARED, CheckpointState.READY, CheckpointState.REJECTED


def models(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/v1/models", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(client: httpx.Client, **query: Any) -> list[str]:
    return [one["name"] for one in models(client, **query)["items"]]


def test_without_checkpoints_there_are_no_models(api: Served) -> None:
    assert models(api.client) == {"items": [], "total": 0}


def test_a_model_says_how_much_there_is_of_it_and_what_is_newest(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        old = ready_checkpoint(session, "r3d", team="vision", step=1000, run="a")
        new = ready_checkpoint(session, "r3d", team="vision", step=2000, run="a")
        ready_checkpoint(session, "other", team="vision")
        first = done(session, old, dataset, {"recognition.top1": 10})
        last = done(session, new, dataset, {"recognition.top1": 20})
        first.finished_at, last.finished_at = old.created_at, new.created_at
    found = models(api.client, name="r3d")["items"]
    assert found == [
        {
            "name": "r3d",
            "team": "vision",
            "num_checkpoints": 2,
            "num_evaluations": 2,
            "newest": {
                "id": str(new.id),
                "step": 2000,
                "run": "a",
                "state": "ready",
                "created_at": found[0]["newest"]["created_at"],
            },
            "evaluated_at": found[0]["evaluated_at"],
            "tags": [],
            "former_names": [],
            "private": False,
        }
    ]
    assert found[0]["evaluated_at"] == found[0]["newest"]["created_at"]
    (other,) = models(api.client, name="other")["items"]
    assert (other["num_evaluations"], other["evaluated_at"]) == (0, None)


def test_models_come_in_pages_the_one_with_the_newest_checkpoint_first(api: Served) -> None:
    with api.database.session() as session:
        for name in ("first", "second", "third", "first"):
            ready_checkpoint(session, name, run=None if name == "second" else "b", step=len(name))
    assert names(api.client) == ["first", "third", "second"]
    page = models(api.client, limit=1, offset=1)
    assert [one["name"] for one in page["items"]] == ["third"]
    assert page["total"] == 3


def test_models_are_found_by_team_and_by_part_of_their_name(api: Served) -> None:
    with api.database.session() as session:
        for name, team in (("r3d-vcp", "vision"), ("R3D%", "sound"), ("c3d", "vision")):
            ready_checkpoint(session, name, team=team)
    assert names(api.client, team="vision") == ["c3d", "r3d-vcp"]
    assert names(api.client, name="r3d") == ["R3D%", "r3d-vcp"]
    assert names(api.client, name="%") == ["R3D%"]
    assert names(api.client, name="r3d", team="vision") == ["r3d-vcp"]
    assert names(api.client, name="x") == []


def test_what_is_not_ready_counts_for_its_own_team_and_administrators_only(api: Served) -> None:
    with api.database.session() as session:
        shown = ready_checkpoint(session, "half", team="vision", step=1)
        hidden = ready_checkpoint(session, "half", team="vision", step=2, state=REJECTED)
        ready_checkpoint(session, "secret", team="vision", state=DECLARED)
    with api.client_of("vision") as owner, api.client_of("others") as others:
        for client in (owner, api.client):
            assert names(client) == ["secret", "half"]
            half = models(client, name="half")["items"][0]
            assert (half["num_checkpoints"], half["newest"]["id"]) == (2, str(hidden.id))
            assert half["newest"]["state"] == REJECTED
        assert models(others)["total"] == 1
        (half,) = models(others)["items"]
        assert (half["num_checkpoints"], half["newest"]["id"]) == (1, str(shown.id))
