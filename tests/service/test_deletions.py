"""DELETE by the API: who may, what a dry run says, and what old addresses answer afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from records.models import Checkpoint, CheckpointState, DatasetRow, Evaluation, Share
from tests import stored
from tests.served import Served
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import declare, noise, problem_of, put
from tests.stored import World


@pytest.fixture
def world(api: Served) -> World:
    return stored.make(api.database, api.app.state.storage)


@pytest.fixture
def vision(api: Served) -> Iterator[httpx.Client]:
    with api.client_of("vision") as client:
        yield client


@pytest.fixture
def audio(api: Served) -> Iterator[httpx.Client]:
    with api.client_of("audio") as client:
        yield client


def test_a_dry_run_says_what_would_go_and_changes_nothing(
    api: Served, vision: httpx.Client, world: World
) -> None:
    path = f"/v1/evaluations/{world.evaluations[0]}"
    before = vision.get(path).json()
    would = vision.delete(path, params={"dry_run": True}).json()
    assert (would["dry_run"], would["kind"], would["team"], would["model"]) == (
        True,
        "evaluation",
        "vision",
        "ours",
    )
    assert would["name"] == "vision/ours on gestures under quick-v1"
    assert {line["kind"]: line["count"] for line in would["stays"]} == {"controls": 1}
    truth = api.client.delete(path, params={"dry_run": True}).json()
    # Another team's evaluation needs some of the features. Only administrators are told.
    assert {line["kind"]: line["count"] for line in truth["stays"]} == {"features": 1, "controls": 1}
    assert vision.get(path).json() == before
    did = vision.delete(path).json()
    assert did == {**would, "dry_run": False}


def test_a_dry_run_counts_nothing_that_another_team_made_with_a_private_model(
    api: Served, vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    def counts(client: httpx.Client) -> dict[str, int]:
        path = f"/v1/evaluations/{world.evaluations[0]}"
        would = client.delete(path, params={"dry_run": True}).json()
        return {line["kind"]: line["count"] for line in would["goes"]}

    before = counts(vision)
    assert before["comparisons"] > 1
    hidden = {"model": "twin", "private": True}
    assert audio.post("/v1/models/private", json=hidden).status_code == 200
    after = counts(vision)
    assert after.get("comparisons", 0) < before["comparisons"]
    assert counts(api.client)["comparisons"] == before["comparisons"]


def test_only_the_owners_team_and_administrators_delete(
    api: Served, vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    for query in ({}, {"dry_run": "true"}):
        assert (
            "belongs to team 'vision'"
            in problem_of(audio.delete(f"/v1/evaluations/{world.evaluations[0]}", params=query), 403)[
                "detail"
            ]
        )
        problem_of(audio.delete(f"/v1/checkpoints/{world.ours}", params=query), 404)
        problem_of(audio.delete("/v1/models/vision/ours", params=query), 404)
    control = problem_of(vision.delete(f"/v1/evaluations/{world.control}"), 409)
    assert "is a control" in control["detail"]
    assert api.client.delete(f"/v1/evaluations/{world.evaluations[1]}").status_code == 200
    assert vision.delete("/v1/models/ours").json()["name"] == "vision/ours"
    assert api.client.delete("/v1/models/vision/other").status_code == 200


def test_old_addresses_say_that_it_was_deleted_and_when_and_to_its_team_by_whom(
    vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    first = world.evaluations[0]
    assert vision.delete(f"/v1/checkpoints/{world.ours}").status_code == 200
    for path in (
        f"/v1/evaluations/{first}",
        f"/v1/evaluations/{str(first)[:8]}",
        f"/v1/evaluations/{first}/results",
        f"/v1/evaluations/{first}/map",
        f"/v1/comparisons?first={first}&second={world.evaluations[1]}",
        f"/v1/notes?evaluation={first}",
    ):
        gone = problem_of(vision.get(path), 410)
        assert gone["deleted"] == "evaluation"
        assert gone["deleted_at"][:10] in gone["detail"]
        assert "by vision" in gone["detail"], path
        assert "by vision" not in problem_of(audio.get(path), 410)["detail"], path
    assert problem_of(vision.get(f"/v1/checkpoints/{world.ours}"), 410)["deleted"] == "checkpoint"
    assert problem_of(vision.delete(f"/v1/checkpoints/{world.ours}"), 410)
    many = problem_of(audio.get(f"/v1/comparisons/{world.many}"), 410)
    assert "One of its evaluations was deleted" in many["detail"]
    problem_of(vision.get("/v1/evaluations/00000000-0000-4000-8000-000000000000"), 404)


def test_an_alias_and_its_history_say_that_the_checkpoint_was_deleted(
    vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    vision.delete(f"/v1/checkpoints/{world.ours}")
    lost = problem_of(vision.get("/v1/checkpoints/@champion"), 410)
    assert "at which @champion of team 'vision' pointed was deleted on" in lost["detail"]
    problem_of(audio.get("/v1/evaluations/vision/@champion"), 410)
    (move,) = vision.get("/v1/aliases/champion/history").json()["moves"]
    assert (move["checkpoint"], move["deleted_at"] is not None) == (None, True)
    assert vision.get("/v1/aliases").json()["items"] == []
    moved = vision.put("/v1/aliases/champion", json={"checkpoint": str(world.other)})
    assert moved.status_code == 200
    assert vision.get("/v1/checkpoints/@champion").json()["id"] == str(world.other)


def test_a_link_says_that_its_page_was_deleted_and_opens_nothing(
    api: Served, vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    vision.delete(f"/v1/evaluations/{world.evaluations[0]}")
    page = httpx.get(f"{api.url}/shared/{world.secret}")
    assert page.status_code == 410
    assert "This page was deleted" in page.text
    assert httpx.get(f"{api.url}/shared/{world.secret}/chart.svg").status_code == 404
    (link,) = audio.get("/v1/shares").json()["items"]  # of a comparison with it
    assert (link["state"], link["evaluation"], link["against"]) == ("deleted", None, None)
    with api.database.session() as session:
        assert all(row.deleted_at for row in session.scalars(select(Share)))


def test_an_upload_under_way_may_be_deleted(api: Served) -> None:
    content = noise(1000)
    declared = declare(api.client, content)
    assert put(api.client, declared["id"], content[:400], 0, 1000).status_code == 200
    found = api.client.delete(f"/v1/checkpoints/{declared['id']}").json()
    assert {line["kind"]: line["size_bytes"] for line in found["goes"]} == {
        "checkpoints": None,
        "parts of uploads": 400,
    }
    problem_of(put(api.client, declared["id"], content[400:], 400, 1000), 410)
    again = declare(api.client, content)
    assert again["id"] != declared["id"]


def test_a_dataset_is_retired_first_and_deleted_by_an_administrator(
    api: Served, vision: httpx.Client, world: World
) -> None:
    path = f"/v1/retired-datasets/{world.dataset}"
    assert "Retire it first" in problem_of(api.client.delete(path), 409)["detail"]
    assert api.client.delete("/v1/datasets/gestures").status_code == 204
    (retired,) = api.client.get("/v1/retired-datasets").json()["items"]
    assert (retired["id"], retired["num_evaluations"]) == (str(world.dataset), 3)
    problem_of(vision.delete(path), 403)
    would = api.client.delete(path, params={"dry_run": "true"}).json()
    assert {line["kind"] for line in would["goes"]} >= {"datasets", "evaluations", "controls", "previews"}
    assert api.client.delete(path).json() == {**would, "dry_run": False}
    assert problem_of(api.client.delete(path), 410)["deleted"] == "dataset"
    assert api.client.get("/v1/evaluations").json()["total"] == 0
    with api.database.session() as session:
        assert session.scalars(select(DatasetRow)).all() == []


def test_a_model_without_checkpoints_is_deleted_too_and_its_former_name_finds_it(api: Served) -> None:
    with api.database.session() as session:
        found = ready_checkpoint(session, "tiny")
        found_id = found.id
    assert api.client.post("/v1/models/rename", json={"model": "tiny", "name": "big"}).status_code == 200
    assert api.client.delete(f"/v1/checkpoints/{found_id}").status_code == 200
    assert api.client.delete("/v1/models/tiny").json()["name"] == "default/big"
    problem_of(api.client.delete("/v1/models/tiny"), 404)


def test_an_evaluation_under_way_is_cancelled_and_deleted(api: Served) -> None:
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session, state=CheckpointState.INGESTING)
        ready_dataset(session)
        checkpoint_id = checkpoint.id
    asked = api.evaluate(str(checkpoint_id), "gestures")
    assert api.client.delete(f"/v1/evaluations/{asked['id']}").status_code == 200
    problem_of(api.client.post(f"/v1/evaluations/{asked['id']}/cancel"), 410)
    with api.database.session() as session:
        assert session.get(Evaluation, UUID(asked["id"])) is None
        assert session.get(Checkpoint, checkpoint_id) is not None


def test_sizes_are_a_teams_own_and_everything_for_an_administrator(
    api: Served, vision: httpx.Client, audio: httpx.Client, world: World
) -> None:
    mine = vision.get("/v1/sizes").json()
    assert {one["team"] for one in mine["sizes"]} == {"vision"}
    assert {one["kind"]: one["count"] for one in mine["sizes"]} == {
        "uploaded files": 2,
        "weights": 2,
        "features": 3,
    }
    every = api.client.get("/v1/sizes").json()
    assert {one["team"] for one in every["sizes"]} == {"vision", "audio", None}
    assert every["size_bytes"] == sum(one["size_bytes"] for one in every["sizes"])
    shared = {one["kind"]: one["dataset"] for one in every["sizes"] if one["team"] is None}
    assert shared == {
        "weights": None,
        "features": "gestures",
        "previews": "gestures",
        "manifests": "gestures",
    }
    assert audio.get("/v1/sizes").json()["count"] == 2
    assert 'vcpbench_store_bytes{kind="features"}' in api.client.get("/v1/metrics").text
    assert "vcpbench_store_bytes" not in audio.get("/v1/metrics").text  # it shows the size of each upload
    assert "Sizes in the store" in api.client.get("/sizes", headers={"Accept": "text/html"}).text
