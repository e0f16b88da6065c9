"""What webhooks send: vcpbench's JSON, and messages that Slack takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from records.models import Event, EventKind, WebhookForm
from records.repositories.webhooks import Claim
from service.events.schemas import EventOut
from tests.receiver import IS_GENUINE
from worker import payloads

BASE = "https://bench.example"
SCORE = {"value": 61.25, "low": 59.5, "high": 63.0, "unit": "percent"}
FACTS: dict[EventKind, dict[str, Any]] = {
    EventKind.CHECKPOINT_READY: {"model": "r3d-vcp", "step": 9000, "backbone": "r3d_18"},
    EventKind.CHECKPOINT_REJECTED: {"model": "r3d-vcp", "reason": "no weights & <@U123> in `file`"},
    EventKind.EVALUATION_DONE: {
        "model": "r3d-vcp",
        "dataset": "ucf101",
        "protocol": "standard-v1",
        "scores": {"recognition.top1": SCORE},
    },
    EventKind.EVALUATION_FAILED: {"model": "m", "dataset": "d", "protocol": "p", "reason": "x" * 9000},
    EventKind.EVALUATION_CANCELLED: {"model": "m", "dataset": "d", "protocol": "p"},
    EventKind.GATE_VERDICT: {
        "model": "m" * 300,
        "dataset": "d" * 300,
        "protocol": "p",
        "verdict": "fail",
        "rules": [{"rule": "r" * 200, "verdict": "fail"}] * 100,
        "by": "ci",
    },
    EventKind.MODEL_DROPPED: {
        "model": "r3d-vcp",
        "step": 9000,
        "dataset": "ucf101",
        "protocol": "standard-v1",
        "before": {"evaluation": str(UUID(int=4)), "step": 8000},
        "drops": {
            "recognition.top1": {**SCORE, "before": {**SCORE, "value": 70.0, "low": 68.5, "high": 71.5}}
        },
    },
    EventKind.WEBHOOK_TEST: {"by": "anna"},
}


def claim_of(kind: EventKind, form: WebhookForm) -> Claim:
    of = None if kind is EventKind.WEBHOOK_TEST else uuid4()
    event = Event(
        id=7,
        created_at=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
        kind=kind,
        team="vision",
        checkpoint_id=of,
        evaluation_id=of,
        facts=FACTS[kind],
    )
    return Claim(
        delivery_id=UUID(int=1),
        webhook_id=UUID(int=2),
        token=UUID(int=3),
        url="https://ci.example/",
        secret="vch_secret",
        form=form,
        event=event,
    )


def check_slack(message: dict[str, Any]) -> None:
    """Slack's rules for what these messages use: https://docs.slack.dev/reference/block-kit/blocks/."""
    assert set(message) == {"text", "blocks"}
    assert 0 < len(message["text"]) <= 4000
    assert 0 < len(message["blocks"]) <= 50
    for block in message["blocks"]:
        if block["type"] == "section":
            assert set(block) == {"type", "text"}
            texts, most = [block["text"]], 3000
        else:
            assert block["type"] == "context"
            assert set(block) == {"type", "elements"}
            texts, most = block["elements"], 3000
            assert 0 < len(texts) <= 10
        for text in texts:
            assert set(text) == {"type", "text"}
            assert text["type"] == "mrkdwn"
            assert 0 < len(text["text"]) <= most


@pytest.mark.parametrize("kind", EventKind, ids=lambda kind: kind.value)
def test_every_event_makes_a_message_that_slack_takes(kind: EventKind) -> None:
    body = payloads.body_of(claim_of(kind, WebhookForm.SLACK), BASE)
    message = json.loads(body)
    check_slack(message)
    assert len(message["text"]) < 500


def test_a_message_says_what_happened_and_mentions_nobody() -> None:
    message = json.loads(payloads.body_of(claim_of(EventKind.EVALUATION_DONE, WebhookForm.SLACK), BASE))
    said = message["blocks"][0]["text"]["text"]
    assert said.startswith(f"*<{BASE}/evaluations/")
    assert "|Evaluation done: r3d-vcp>*\non ucf101 under standard-v1\n" in said
    assert "recognition.top1 61.2 % (59.5 to 63.0)" in said
    rejected = payloads.body_of(claim_of(EventKind.CHECKPOINT_REJECTED, WebhookForm.SLACK), BASE)
    assert "no weights &amp; &lt;@U123&gt; in" in json.loads(rejected)["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("kind", EventKind, ids=lambda kind: kind.value)
def test_the_json_of_a_delivery_is_that_of_the_api(kind: EventKind) -> None:
    claim = claim_of(kind, WebhookForm.VCPBENCH)
    sent = json.loads(payloads.body_of(claim, BASE))
    told = EventOut.of(claim.event, BASE).model_dump(mode="json")
    assert sent == {**told, "at": sent["at"]}
    assert datetime.fromisoformat(sent["at"]) == claim.event.created_at


def test_a_signature_holds_for_its_body_its_secret_and_five_minutes() -> None:
    claim = claim_of(EventKind.WEBHOOK_TEST, WebhookForm.VCPBENCH)
    body, at = payloads.body_of(claim, BASE), 1_764_500_000
    header = payloads.headers_of(claim, body, at)["VCPBench-Signature"]
    assert IS_GENUINE("vch_secret", body, header, at + 299)
    for secret, content, signed, now in (
        ("vch_other", body, header, at),
        ("vch_secret", body + b" ", header, at),
        ("vch_secret", body, header, at + 300),
        ("vch_secret", body, header, at - 300),
        ("vch_secret", body, header.replace(f"t={at}", f"t={at + 200}"), at + 300),
        ("vch_secret", body, header.replace("v1=", "v0="), at),
        ("vch_secret", body, "", at),
        ("vch_secret", body, None, at),
        ("vch_secret", body, "t=now,v1=0", at),
    ):
        assert not IS_GENUINE(secret, content, signed, now)
