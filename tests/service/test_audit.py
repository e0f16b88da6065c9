"""The audit log: every request that changes something, and none that only reads."""

from __future__ import annotations

from inspect import signature
from typing import Any

import httpx
from sqlalchemy import text

from service.deps import CommittingRoute
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import declare, every_route, noise, one_shot, problem_of, put


def entries(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    return list(client.get("/v1/audit", params=query).json()["items"])


def test_a_change_is_noted_with_its_sender_its_subject_and_its_address(api: Served) -> None:
    with api.database.session() as session:
        evaluation = done(session, ready_checkpoint(session), ready_dataset(session), {})
    made = api.client.post("/v1/shares", json={"evaluation": str(evaluation.id)}).json()
    (found,) = entries(api.client)
    assert (found["team"], found["by"], found["action"]) == ("default", "test", "POST /v1/shares")
    assert found["subject"] == {"evaluation": str(evaluation.id), "id": made["id"]}
    assert found["address"] == "127.0.0.1"
    assert made["url"].rpartition("/")[2] not in str(found)
    api.client.delete(f"/v1/shares/{made['id']}")
    assert entries(api.client)[0]["action"] == f"DELETE /v1/shares/{made['id']}"


def test_what_failed_and_what_only_reads_is_not_noted(api: Served) -> None:
    problem_of(api.client.post("/v1/shares", json={"evaluation": "m@latest"}), 404)
    problem_of(api.client.post("/v1/views", json={"name": "n"}), 422)
    api.client.get("/v1/evaluations")
    assert entries(api.client) == []


def test_a_dry_run_and_a_form_that_was_refused_are_not_noted(api: Served) -> None:
    with api.database.session() as session:
        done(session, ready_checkpoint(session), ready_dataset(session), {})
    for query in ({"dry_run": "true"}, {}):
        assert api.client.delete("/v1/models/tiny", params=query).status_code == 200
    assert [one["action"] for one in entries(api.client)] == ["DELETE /v1/models/tiny"]
    for dry_run in (True, False):
        api.client.post("/v1/admin/purge", json={"days": 30, "dry_run": dry_run}).raise_for_status()
    assert [one["action"] for one in entries(api.client)][:-1] == ["POST /v1/admin/purge"]


def test_teammates_of_an_administrator_do_not_read_what_it_did_elsewhere(api: Served) -> None:
    with api.client_of("default") as mate, api.client_of("vision") as vision:
        declare(vision, noise(10), "secret-net", private=True)
        declare(mate, noise(10), "open-net")
        renamed = {"model": "vision/secret-net", "name": "other-net"}
        assert api.client.post("/v1/models/rename", json=renamed).status_code == 200
        assert [one["action"] for one in entries(mate)] == ["POST /v1/checkpoints"]
        assert entries(api.client)[0]["subject"]["model"] == "vision/secret-net"


def test_an_upload_is_noted_once(api: Served) -> None:
    made = one_shot(api.client, noise(10), run="night-3").json()
    (found,) = entries(api.client)
    assert found["action"] == "PUT /v1/checkpoints/upload"
    assert found["subject"] == {"model": "tiny", "run": "night-3", "id": made["id"]}
    one_shot(api.client, noise(10))  # it is there already
    assert len(entries(api.client)) == 1


def test_an_upload_in_parts_is_noted_when_it_is_whole(api: Served) -> None:
    declared = declare(api.client, noise(10))
    put(api.client, declared["id"], noise(10))
    sent, declaration = entries(api.client)
    assert sent["action"] == f"PUT /v1/checkpoints/{declared['id']}/content"
    assert declaration["action"] == "POST /v1/checkpoints"
    assert declaration["subject"] == {"model": "tiny", "id": declared["id"]}


def test_texts_and_urls_are_not_noted(api: Served) -> None:
    with api.database.session() as session:
        evaluation = done(session, ready_checkpoint(session), ready_dataset(session), {})
    api.client.post("/v1/notes", params={"evaluation": str(evaluation.id)}, json={"text": "among us"})
    api.client.post("/v1/webhooks", json={"url": "https://x.example/among-us"})
    assert len(entries(api.client)) == 2
    with api.database.session() as session:
        rows = session.execute(text("SELECT * FROM audit_entry")).all()
    assert "among" not in str(rows)


def test_a_team_reads_its_own_entries_and_an_administrator_all(api: Served) -> None:
    with api.client_of("vision") as vision, api.client_of("others") as others:
        for client in (vision, others, api.client):
            view = {"name": "ours", "address": "/models"}
            assert client.post("/v1/views", json=view).status_code in (200, 201)
        assert {one["team"] for one in entries(vision)} == {"vision"}
        assert {one["team"] for one in entries(api.client)} == {"vision", "others", "default"}
        assert {one["team"] for one in entries(api.client, team="vision")} == {"vision"}
        problem_of(others.get("/v1/audit", params={"team": "vision"}), 403)


NOTE_THEMSELVES = {  # they stream bytes, or commit in pieces
    "PUT /v1/checkpoints/upload",
    "PUT /v1/checkpoints/0123456789/content",
    "PUT /submit/checkpoints/0123456789/content",
    "POST /v1/reevaluations",
    "POST /v1/admin/purge",
}
CHANGE_NOTHING = {"POST /theme"}  # but a cookie


def test_every_route_that_writes_is_noted(api: Served) -> None:
    writing = {
        f"{method} {address}": route
        for method, address, route in every_route(api.app)
        if method not in ("GET", "HEAD")
    }
    assert len(writing) > 30
    unnoted = {
        name
        for name, route in writing.items()
        if not (isinstance(route, CommittingRoute) and "session" in signature(route.endpoint).parameters)
    }
    assert unnoted == NOTE_THEMSELVES | CHANGE_NOTHING
