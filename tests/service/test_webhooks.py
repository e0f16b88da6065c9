"""`/v1/webhooks`: who makes, sees, tests and deletes them."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text, update

from records.db import NOW
from records.models import Delivery, DeliveryState, EventKind, Webhook
from records.repositories import events
from records.settings import Settings
from service.webhooks.schemas import KINDS
from service.webhooks.service import MAX_WEBHOOKS
from tests.served import Served, serve
from tests.service.kit import problem_of

URL = "https://hooks.example.org/services/T0/path-is-a-secret"


def make(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", json={"url": URL, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def deliveries(client: httpx.Client, webhook: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/webhooks/{webhook}/deliveries").json()["items"])


def test_a_webhook_shows_its_secret_once_and_the_path_of_its_url_never(api: Served) -> None:
    made = make(api.client)
    assert made["secret"].startswith("vch_")
    assert made["kinds"] == list(KINDS)
    assert set(KINDS) == set(EventKind) - {EventKind.WEBHOOK_TEST}
    (listed,) = api.client.get("/v1/webhooks").json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert (listed["address"], listed["state"], listed["form"]) == (
        "https://hooks.example.org", "on", "vcpbench",
    )  # fmt: skip
    sent = api.client.post(f"/v1/webhooks/{made['id']}/test")
    shown = [sent, api.client.get(f"/v1/webhooks/{made['id']}/deliveries"), api.client.get("/v1/audit")]
    shown += [api.client.get("/v1/events"), api.client.delete(f"/v1/webhooks/{made['id']}")]
    for answer in shown:
        assert answer.status_code in (200, 202), answer.text
        assert made["secret"] not in answer.text
        assert "path-is-a-secret" not in answer.text


def test_only_the_team_and_administrators_see_and_change_a_webhook(api: Served) -> None:
    with api.client_of("vision") as team, api.client_of("others") as others:
        made = make(team)
        path = f"/v1/webhooks/{made['id']}"
        again = f"{path}/deliveries/{uuid4()}/redeliver"
        assert others.get("/v1/webhooks").json()["total"] == 0
        for answer in (
            others.delete(path),
            others.post(f"{path}/test"),
            others.get(f"{path}/deliveries"),
            others.post(again),
        ):
            assert "has no webhook" in problem_of(answer, 404)["detail"]
        problem_of(others.get("/v1/webhooks", params={"team": "vision"}), 403)
        assert api.client.get("/v1/webhooks", params={"team": "vision"}).json()["total"] == 1
        assert api.client.delete(path).status_code == 200
        problem_of(team.delete(path), 404)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://ci.example/", "has no TLS"),
        ("https://127.0.0.1/", "no public address"),
        ("https://[::ffff:169.254.169.254]/", "no public address"),
        ("https://2130706433/", "no public address"),
        ("https://me:secret@ci.example/", "neither a user nor a password"),
        ("nonsense", "begins with https://HOST"),
    ],
    ids=["http", "loopback", "mapped", "decimal", "password", "nonsense"],
)
def test_a_webhook_that_must_not_lead_there_is_refused(api: Served, url: str, says: str) -> None:
    found = problem_of(api.client.post("/v1/webhooks", json={"url": url}), 422)
    assert says in found["detail"]


def test_where_an_operator_allows_a_network_webhooks_lead_there(settings: Settings) -> None:
    allowed = settings.model_copy(update={"webhook_networks": (ip_network("10.0.0.0/8"),)})
    with serve(allowed) as api:
        assert make(api.client, url="http://10.0.0.7:8000/hook")["address"] == "http://10.0.0.7:8000"


def test_a_team_has_so_many_webhooks(api: Served) -> None:
    for _ in range(MAX_WEBHOOKS):
        make(api.client)
    found = problem_of(api.client.post("/v1/webhooks", json={"url": URL}), 429)
    assert (found["limit"], found["used"]) == ("webhooks", MAX_WEBHOOKS)
    with api.client_of("others") as others:
        make(others)


def test_a_test_that_waits_is_sent_now_and_no_second_one_is_made(api: Served) -> None:
    made = make(api.client, kinds=["evaluation.done"])
    other = make(api.client, kinds=["evaluation.done"])
    path = f"/v1/webhooks/{made['id']}"
    answer = api.client.post(f"{path}/test")
    assert answer.status_code == 202
    sent = answer.json()
    assert (sent["state"], sent["attempts"], sent["event"]["kind"]) == ("waiting", 0, "webhook.test")
    assert deliveries(api.client, made["id"]) == [sent]
    assert deliveries(api.client, other["id"]) == []
    with api.database.session() as session:
        session.execute(update(Delivery).values(due_at=NOW + timedelta(hours=3), attempts=7))
        session.execute(update(Webhook).values(next_at=NOW + timedelta(minutes=1)))
    again = api.client.post(f"{path}/test").json()
    assert (again["id"], again["attempts"]) == (sent["id"], 7)
    with api.database.session() as session:
        assert session.scalar(select(Delivery.due_at <= NOW)) is True
        assert session.scalar(select(Webhook.next_at <= NOW).where(Webhook.id == UUID(made["id"]))) is True
        session.execute(update(Delivery).values(token=uuid4()))
    assert sent["id"] in problem_of(api.client.post(f"{path}/test"), 409)["detail"]
    problem_of(api.client.post(f"{path}/deliveries/{sent['id']}/redeliver"), 409)
    problem_of(api.client.post(f"{path}/deliveries/{uuid4()}/redeliver"), 404)


def test_a_delivery_that_has_ended_is_sent_again_under_its_id(api: Served) -> None:
    made = make(api.client, kinds=["evaluation.done"])
    with api.database.session() as session:
        events.add(session, EventKind.EVALUATION_DONE, team="default", facts={"model": "m"})
        events.add(session, EventKind.EVALUATION_FAILED, team="default", facts={"model": "m"})
    (before,) = deliveries(api.client, made["id"])
    with api.database.session() as session:
        ended = {"state": DeliveryState.FAILED, "attempts": 18, "ended_at": NOW, "error": "no answer"}
        session.execute(update(Delivery).values(**ended))
        session.execute(update(Webhook).values(off_at=NOW, failing_since=NOW))
    assert api.client.get("/v1/webhooks").json()["items"][0]["state"] == "off"
    answer = api.client.post(f"/v1/webhooks/{made['id']}/deliveries/{before['id']}/redeliver")
    assert answer.status_code == 202
    found = answer.json()
    assert (found["id"], found["state"], found["attempts"]) == (before["id"], "waiting", 0)


def test_a_webhook_goes_with_its_deliveries(api: Served) -> None:
    made = make(api.client)
    api.client.post(f"/v1/webhooks/{made['id']}/test")
    assert api.client.delete(f"/v1/webhooks/{made['id']}").json()["id"] == made["id"]
    with api.database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM delivery")) == 0
        assert session.get(Webhook, UUID(made["id"])) is None
