"""What a team may use: refused beyond it, told to the team, and set by administrators."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from records.db import NOW
from records.models import Checkpoint
from records.settings import Settings
from tests.served import Served, serve, sha256
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import declare, in_thread, noise, num_rows, objects, one_shot, problem_of

Json = dict[str, Any]


@pytest.fixture
def vision(api: Served) -> Iterator[httpx.Client]:
    with api.client_of("vision") as client:
        yield client


def allow(api: Served, team: str = "vision", **limits: int | None) -> Json:
    answer = api.client.put(f"/v1/admin/quotas/{team}", json=limits)
    return dict(answer.raise_for_status().json())


def declared(client: httpx.Client, size_bytes: int, seed: int) -> httpx.Response:
    content = noise(size_bytes, seed)
    body = {"model": "tiny", "size_bytes": size_bytes, "sha256": sha256(content)}
    return client.post("/v1/checkpoints", json=body)


def test_a_file_for_which_there_is_no_room_is_refused_before_and_after_its_bytes(
    api: Served, vision: httpx.Client, settings: Settings
) -> None:
    allow(api, num_bytes=100)
    first = noise(60)
    assert one_shot(vision, first).status_code == 201
    assert one_shot(vision, first).status_code == 200  # the same file again takes no room
    assert declare(vision, first, "other")["size_bytes"] == 60
    found = problem_of(declared(vision, 41, 1), 429)
    assert "Team 'vision' stores 60 B, and 100 B are allowed. This file needs 41 B more." in found["detail"]
    assert "Room is free when a checkpoint of the team is deleted." in found["detail"]
    assert "vcpbench admin quota" in found["detail"]
    assert (found["limit"], found["used"], found["allowed"]) == ("bytes stored", 60, 100)
    before = objects(settings)
    answer = one_shot(vision, noise(41, 2))
    assert answer.headers["Retry-After"] == "3600"
    problem_of(answer, 429)
    problem_of(one_shot(vision, iter([noise(41, 3)])), 429)  # no Content-Length says how many bytes come
    assert objects(settings) == before
    assert declared(vision, 40, 4).status_code == 201
    assert one_shot(api.client, noise(500, 5)).status_code == 201  # another team
    assert vision.get("/v1/quota").json()["num_bytes"]["used"] == 100


def test_a_declared_file_that_grows_needs_room_too(api: Served, vision: httpx.Client) -> None:
    allow(api, num_bytes=100)
    body = {"model": "tiny", "size_bytes": 1, "sha256": sha256(noise(10))}
    assert vision.post("/v1/checkpoints", json=body).status_code == 201
    for model, used in (("tiny", 1), ("other", 100)):  # the same file counts once, with its largest size
        larger = {**body, "model": model, "size_bytes": 101}
        found = problem_of(vision.post("/v1/checkpoints", json=larger), 429)
        assert (found["limit"], found["used"]) == ("bytes stored", used)
        assert vision.post("/v1/checkpoints", json={**larger, "size_bytes": 100}).is_success
    assert vision.get("/v1/quota").json()["num_bytes"]["used"] == 100


def test_a_deleted_upload_counts_for_its_day(api: Served, vision: httpx.Client) -> None:
    allow(api, uploads_a_day=1)
    made = one_shot(vision, noise(10)).json()
    assert api.client.delete(f"/v1/checkpoints/{made['id']}").status_code == 200
    found = problem_of(one_shot(vision, noise(10, 1)), 429)
    assert (found["limit"], found["used"]) == ("uploads a day", 1)
    assert "The next upload is possible in 24 h" in found["detail"]


def test_uploads_of_a_day_are_counted_and_the_answer_says_when_the_next_is_possible(
    api: Served, vision: httpx.Client
) -> None:
    allow(api, uploads_a_day=2)
    for seed in range(2):
        assert declared(vision, 10, seed).status_code == 201
    answer = declared(vision, 10, 2)
    found = problem_of(answer, 429)
    assert "uploaded 2 checkpoints within 24 hours, and 2 are allowed" in found["detail"]
    assert "The next upload is possible in 24 h" in found["detail"]
    assert int(answer.headers["Retry-After"]) > 86_000
    assert declared(vision, 10, 0).status_code == 200  # no new one
    with api.database.session() as session:
        past = {"created_at": NOW - timedelta(hours=23)}
        session.execute(update(Checkpoint).values(**past))
    assert "The next upload is possible in 60 min" in problem_of(declared(vision, 10, 2), 429)["detail"]
    allow(api, uploads_a_day=1)  # both of them must be a day old, then
    assert vision.get("/v1/quota").json()["uploads_a_day"]["used"] == 2
    with api.database.session() as session:
        past = {"created_at": NOW - timedelta(hours=25)}
        session.execute(update(Checkpoint).values(**past))
    assert declared(vision, 10, 2).status_code == 201


def test_evaluations_under_way_are_counted_and_one_that_is_there_is_given(
    api: Served, vision: httpx.Client
) -> None:
    with api.database.session() as session:
        ready_dataset(session)
        ids = [str(ready_checkpoint(session, f"m{number}", team="vision").id) for number in range(2)]
    allow(api, running=1)

    def ask(checkpoint: str) -> httpx.Response:
        return vision.post("/v1/evaluations", json={"checkpoint": checkpoint, "dataset": "gestures"})

    first = ask(ids[0]).json()["id"]
    assert ask(ids[0]).status_code == 200
    found = problem_of(ask(ids[1]), 429)
    assert "Team 'vision' has 1 evaluations that wait or run, and 1 are allowed" in found["detail"]
    assert "the oldest was asked for at 20" in found["detail"]
    assert found["limit"] == "running evaluations"
    vision.post(f"/v1/evaluations/{first}/cancel")
    assert ask(ids[1]).status_code == 201


def test_uploads_at_once_are_counted_one_by_one(api: Served, vision: httpx.Client) -> None:
    allow(api, uploads_a_day=1)
    asked = [in_thread(partial(declared, vision, 10, seed)) for seed in range(6)]
    assert sorted(one().status_code for one in asked) == [201, *[429] * 5]
    assert num_rows(api, Checkpoint) == 1


def test_a_team_has_its_own_limits_or_the_installations(settings: Settings) -> None:
    defaults = {"team_bytes": 1000, "team_running": 7}
    with serve(settings.model_copy(update=defaults)) as api, api.client_of("a/b") as client:
        own = client.get("/v1/quota").json()
        assert own["team"] == "a/b"
        assert (own["num_bytes"]["allowed"], own["num_bytes"]["own"]) == (1000, False)
        assert (own["uploads_a_day"]["allowed"], own["running"]["allowed"]) == (None, 7)
        set_ = allow(api, "a/b", num_bytes=5000, running=0)
        assert (set_["num_bytes"]["allowed"], set_["num_bytes"]["own"]) == (5000, True)
        assert (set_["running"]["allowed"], set_["running"]["own"]) == (None, True)
        assert allow(api, "a/b", num_bytes=None)["running"]["own"]  # what is left out stays
        assert client.get("/v1/quota").json()["num_bytes"] == own["num_bytes"]
        assert api.client.get("/v1/admin/quotas/a/b").json() == client.get("/v1/quota").json()
        problem_of(client.get("/v1/admin/quotas/a/b"), 403)
        problem_of(api.client.put("/v1/admin/quotas/a", json={"running": -1}), 422)
