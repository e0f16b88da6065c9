"""The part of the client for events, webhooks, verdicts of gates and the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vcpbench_client.answers import read
from vcpbench_client.asking import Asking
from vcpbench_client.errors import ClientError
from vcpbench_client.patience import Patience
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to your team's checkpoints or evaluations.

    Attributes:
        id: It ascends. `Client.follow_events` resumes after it.
        kind: "checkpoint.ready", "evaluation.done", ...
        checkpoint: The id of the checkpoint that it is about.
        evaluation: The id of the evaluation that it is about.
        url: The evaluation's page, if the server knows its own address.
        facts: More, by kind: "model", "reason", "scores", "verdict", ...
    """

    id: int
    kind: str
    at: datetime
    team: str
    checkpoint: str | None = None
    evaluation: str | None = None
    url: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that is told of your team's events.

    Attributes:
        address: Its URL without the path, which may hold a secret.
        form: "vcpbench" or "slack".
        state: "on", "failing" or "off".
        secret: The key that signs its deliveries, only in the answer to `create_webhook`.
    """

    id: str
    team: str
    by: str
    address: str
    kinds: tuple[str, ...]
    form: str
    state: str
    created_at: datetime
    failing_since: datetime | None = None
    off_at: datetime | None = None
    secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event for one webhook.

    Attributes:
        id: The header `VCPBench-Delivery`, which is the same at each attempt.
        state: "waiting", "delivered" or "failed".
        attempts: How often it was sent since it was last asked for.
        status: HTTP status of the last attempt's answer.
        error: Why the last attempt failed.
        due_at: When the next attempt is due.
    """

    id: str
    state: str
    attempts: int
    created_at: datetime
    event: Event
    status: int | None = None
    error: str | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """A request that changed something.

    Attributes:
        by: Name of the token that sent it.
        action: Its method and path.
        subject: What it named, and the id of what it made.
        address: Where it came from.
    """

    id: str
    created_at: datetime
    team: str
    by: str
    action: str
    subject: dict[str, str]
    address: str


class Events(Asking):
    """Methods of `Client` for events, webhooks, verdicts and the audit log."""

    def events(self, *, evaluation: str | None = None, limit: int | None = None) -> Iterator[Event]:
        """Your team's events of the last 30 days, the newest first.

        Args:
            evaluation: Only of this evaluation: its id, `MODEL@latest`, or `@ALIAS`.
            limit: How many.
        """
        return self._pages(Event, "/events", limit, {"evaluation": evaluation})

    def follow_events(self, *, evaluation: str | None = None, after: int | None = None) -> Iterator[Event]:
        """Your team's events as they happen. It never ends by itself, and connects again if the line breaks.

        Args:
            evaluation: Only of this evaluation.
            after: Begin after the event of this id. If left out, begin with what happens next.
        """
        if after is None:  # otherwise an event between two connections would be missed
            after = next((event.id for event in self.events(evaluation=evaluation, limit=1)), 0)
        patience = self._transport.patience()
        while True:
            try:
                for event in self._stream(evaluation, after, patience):
                    after = event.id
                    yield event
            except ClientError as error:  # `pause` raises those that do not pass by themselves
                self._transport.pause(patience, error)

    def _stream(self, evaluation: str | None, after: int, patience: Patience) -> Iterator[Event]:
        query = {} if evaluation is None else {"evaluation": evaluation}
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        fields: dict[str, str] = {}
        for line in _lines(self._transport.receive("/events", query=query, headers=headers)):
            patience.renew()  # the server is there, also while nothing happens
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            else:
                if "id" in fields:
                    yield read(Event, json.loads(fields["data"]))
                fields = {}

    def webhooks(self) -> tuple[Webhook, ...]:
        """Your team's webhooks, the newest first."""
        return tuple(self._pages(Webhook, "/webhooks", None, {}))

    def create_webhook(self, url: str, *, kinds: Sequence[str] = (), form: str = "vcpbench") -> Webhook:
        """Make a webhook for your team.

        Args:
            url: Where deliveries go: https, to a public address.
            kinds: The kinds of events that it is told of; all if left out.
            form: "slack" sends messages for Slack's incoming webhooks.

        Returns:
            The webhook. Its `secret` is told only here.
        """
        body = {"url": url, "form": form, **({"kinds": list(kinds)} if kinds else {})}
        return self._asked_once(Webhook, "POST", "/webhooks", body=body)

    def delete_webhook(self, webhook_id: str) -> Webhook:
        """Delete a webhook of your team and its deliveries, and return it."""
        return self._asked_once(Webhook, "DELETE", f"/webhooks/{segment(webhook_id)}")

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Send a test event to a webhook. If the receiver takes it, a webhook that was off is on again."""
        return self._asked_once(Delivery, "POST", f"/webhooks/{segment(webhook_id)}/test")

    def deliveries(self, webhook_id: str, *, limit: int | None = None) -> Iterator[Delivery]:
        """The deliveries of a webhook in the last 30 days, the newest first."""
        return self._pages(Delivery, f"/webhooks/{segment(webhook_id)}/deliveries", limit, {})

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery that has ended once more, under the same id."""
        path = f"/webhooks/{segment(webhook_id)}/deliveries/{segment(delivery_id)}/redeliver"
        return self._asked_once(Delivery, "POST", path)

    def store_verdict(self, evaluation: str, verdict: str, rules: Sequence[Mapping[str, str]]) -> Event:
        """Store the verdict of a gate on an evaluation of your team. Watchers and webhooks are told of it.

        Args:
            evaluation: The judged evaluation.
            verdict: "pass", "inconclusive" or "fail".
            rules: For each rule its text (`rule`) and its `verdict`, which may also be "skipped".
        """
        path = f"/evaluations/{segment(evaluation)}/verdicts"
        body = {"verdict": verdict, "rules": list(rules)}
        return self._asked_once(Event, "POST", path, body=body)

    def audit(self, *, team: str | None = None, limit: int | None = None) -> Iterator[AuditEntry]:
        """Requests that changed something, the newest first: your team's, or all for an administrator.

        Args:
            team: Only of this team. An administrator names any team.
            limit: How many.
        """
        return self._pages(AuditEntry, "/audit", limit, {"team": team})


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines of a stream of server-sent events, whose pieces may end anywhere."""
    left = b""
    for chunk in chunks:
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
