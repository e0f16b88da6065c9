"""What a webhook sends: an event as JSON of vcpbench or of Slack, and the headers that sign it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from records.events import as_json
from records.models import Event, EventKind, WebhookForm
from records.repositories.webhooks import Claim

SLACK_CHARACTERS = 3000  # most of the text of a block; Slack refuses a longer one
NAME_CHARACTERS = 200  # of a name in a message for people
_SAID = {
    EventKind.CHECKPOINT_READY: "Checkpoint ready",
    EventKind.CHECKPOINT_REJECTED: "Checkpoint rejected",
    EventKind.EVALUATION_DONE: "Evaluation done",
    EventKind.EVALUATION_FAILED: "Evaluation failed",
    EventKind.EVALUATION_CANCELLED: "Evaluation cancelled",
    EventKind.GATE_VERDICT: "Gate",
    EventKind.MODEL_DROPPED: "Model dropped",
    EventKind.WEBHOOK_TEST: "Test of a webhook of vcpbench",
}


def body_of(claim: Claim, base: str) -> bytes:
    """The body of a delivery. It has the same bytes at each attempt."""
    return json.dumps(_FORMS[claim.form](claim.event, base), separators=(",", ":")).encode()


def headers_of(claim: Claim, body: bytes, at: int) -> Mapping[str, str]:
    """The headers of an attempt.

    Args:
        claim: The attempt.
        body: Its body.
        at: The time of the attempt, seconds since 1970. A receiver refuses an old one.
    """
    return {
        "Content-Type": "application/json",
        "User-Agent": "vcpbench-webhook",
        "VCPBench-Delivery": str(claim.delivery_id),
        "VCPBench-Event": claim.event.kind.value,
        "VCPBench-Signature": f"t={at},v1={signature(claim.secret, body, at)}",
    }


def signature(secret: str, body: bytes, at: int) -> str:
    """HMAC-SHA256 over the time, a dot and the body."""
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


def _slack(event: Event, base: str) -> dict[str, Any]:
    """A message for Slack's incoming webhooks: one section, and the team below it."""
    title, *lines = _lines(event)
    link = as_json(event, base)["url"]
    head = f"*<{link}|{_escaped(title)}>*" if link else f"*{_escaped(title)}*"
    text = _cut("\n".join([head, *map(_escaped, lines)]))
    below = {"type": "mrkdwn", "text": _cut(f"vcpbench, team {_escaped(event.team)}")}
    return {
        "text": _cut(_escaped(title)),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "context", "elements": [below]},
        ],
    }


def _lines(event: Event) -> list[str]:
    """The event in words: a title, and lines of facts."""
    facts = event.facts
    title = _SAID[event.kind]
    if "verdict" in facts:
        title += f": {facts['verdict']}"
    if "model" in facts:
        title += f": {_short(facts['model'])}" + (f" step {facts['step']}" if "step" in facts else "")
    lines = []
    if "dataset" in facts:
        lines.append(f"on {_short(facts['dataset'])} under {_short(facts['protocol'])}")
    lines += [f"{metric} {_number(score)}" for metric, score in facts.get("scores", {}).items()]
    for metric, score in facts.get("drops", {}).items():
        lines.append(f"{metric} {_number(score)}, before {_number(score['before'])}")
    lines += [f"{rule['rule']}: {rule['verdict']}" for rule in facts.get("rules", ())]
    return [title, *lines, *filter(None, [facts.get("reason")])]


def _number(score: Mapping[str, Any]) -> str:
    sign = " %" if score["unit"] == "percent" else ""
    return f"{score['value']:.1f}{sign} ({score['low']:.1f} to {score['high']:.1f})"


def _short(name: object) -> str:
    return str(name)[:NAME_CHARACTERS]


def _cut(text: str) -> str:
    return text if len(text) <= SLACK_CHARACTERS else text[: SLACK_CHARACTERS - 1] + "…"


def _escaped(text: str) -> str:
    """Text without the three characters that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_FORMS: Mapping[WebhookForm, Callable[[Event, str], dict[str, Any]]] = {
    WebhookForm.VCPBENCH: as_json,
    WebhookForm.SLACK: _slack,
}
