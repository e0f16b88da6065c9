"""Events, webhooks, verdicts and the audit log from the client and the command line."""

from __future__ import annotations

import json

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import ApiError, NotFound

from records.models import EventKind
from records.repositories import events
from tests.client.conftest import Run
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset

URL = "https://ci.example.org/hook"


def happen(api: Served) -> int:
    with api.database.session() as session:
        facts = {"model": "mine"}
        return events.add(session, EventKind.CHECKPOINT_READY, team="default", facts=facts).id


def test_the_client_makes_tests_and_deletes_webhooks(client: Client) -> None:
    made = client.create_webhook(URL, kinds=["evaluation.done"], form="slack")
    assert made.secret is not None
    (found,) = client.webhooks()
    assert (found.id, found.secret, found.address) == (made.id, None, "https://ci.example.org")
    assert (found.kinds, found.form, found.state) == (("evaluation.done",), "slack", "on")
    sent = client.test_webhook(made.id)
    assert (sent.state, sent.event.kind) == ("waiting", "webhook.test")
    assert list(client.deliveries(made.id)) == [sent]
    with pytest.raises(ApiError, match="has not ended"):
        client.redeliver(made.id, sent.id)
    assert client.delete_webhook(made.id).id == made.id
    with pytest.raises(NotFound, match="no webhook"):
        client.delete_webhook(made.id)


def test_the_client_follows_events_from_where_it_was(api: Served, client: Client) -> None:
    ids = [happen(api) for _ in range(3)]
    assert [one.id for one in client.events()] == ids[::-1]
    assert [one.id for one in client.events(limit=1)] == ids[2:]
    following = client.follow_events(after=ids[0])
    assert [next(following).id for _ in range(2)] == ids[1:]
    more = happen(api)
    assert next(following).id == more
    following.close()  # type: ignore[attr-defined]


def test_the_client_stores_verdicts_and_reads_the_audit_log(api: Served, client: Client) -> None:
    with api.database.session() as session:
        evaluation = done(session, ready_checkpoint(session), ready_dataset(session), {}).id
    rules = [{"rule": "min recognition.top1=40", "verdict": "fail"}]
    event = client.store_verdict(str(evaluation), "fail", rules)
    assert (event.kind, event.evaluation, event.facts["rules"]) == ("gate.verdict", str(evaluation), rules)
    (entry,) = client.audit()
    assert entry.action == f"POST /v1/evaluations/{evaluation}/verdicts"
    assert (entry.by, entry.subject["verdict"]) == ("test", "fail")


def test_the_commands_speak_of_webhooks_and_events(api: Served, run: Run) -> None:
    made = json.loads(run("webhook", "create", URL, "--kind", "evaluation.done", "--json").stdout)
    said = run("webhook", "create", URL, "--form", "slack")
    assert "vch_" in said.stdout
    listed = run("webhook", "list").stdout
    assert made["id"] in listed
    assert "vch_" not in listed
    assert run("webhook", "test", made["id"]).stdout.strip()
    assert "webhook.test" in run("webhook", "deliveries", made["id"]).stdout
    refused = run("webhook", "redeliver", made["id"], made["id"])
    assert refused.returncode == 2
    assert "has no delivery" in refused.stderr
    assert "is deleted" in run("webhook", "remove", made["id"]).stdout
    happen(api)
    assert "checkpoint.ready" in run("events").stdout
    assert json.loads(run("events", "--limit", "1", "--json").stdout)[0]["kind"] == "checkpoint.ready"
    audit = json.loads(run("admin", "audit", "--json").stdout)
    assert audit[0]["action"] == f"DELETE /v1/webhooks/{made['id']}"
    assert "POST /v1/webhooks" in run("admin", "audit").stdout
    bad = run("webhook", "create", "http://ci.example.org/", "--json")
    assert bad.returncode == 2
    assert "has no TLS" in json.loads(bad.stdout)["error"]["message"]
