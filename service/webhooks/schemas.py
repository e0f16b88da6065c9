"""Webhooks and their deliveries as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, Field

from records.destinations import MOST_CHARACTERS, parse
from records.models import Delivery, DeliveryState, EventKind, Webhook, WebhookForm
from service.body import Body
from service.events.schemas import EventOut
from service.forms import Text

Kind = Literal[
    "checkpoint.ready",
    "checkpoint.rejected",
    "evaluation.done",
    "evaluation.failed",
    "evaluation.cancelled",
    "gate.verdict",
    "model.dropped",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class WebhookIn(Body):
    """An address that shall be told of your team's events."""

    url: Annotated[Text, Field(max_length=MOST_CHARACTERS)] = Field(
        description="Where deliveries go: https, to a public address.",
        examples=["https://ci.example.org/vcpbench"],
    )
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=len(KINDS))] = Field(
        list(KINDS), description="The kinds of events that it is told of."
    )
    form: WebhookForm = Field(
        WebhookForm.VCPBENCH, description="`slack` sends messages for Slack's incoming webhooks."
    )


class WebhookOut(BaseModel):
    """A webhook, without its secret and without the path of its URL, which may hold a secret, too."""

    id: UUID
    team: str = Field(examples=["vision"])
    by: str = Field(description="Name of the token that made it.", examples=["anna"])
    address: str = Field(description="The URL without its path.", examples=["https://ci.example.org"])
    kinds: list[EventKind]
    form: WebhookForm
    state: Literal["on", "failing", "off"] = Field(
        description="`failing`: the last attempt failed. `off`: it failed for days and gets nothing but "
        "tests. A test that succeeds switches it on."
    )
    created_at: datetime
    failing_since: datetime | None
    off_at: datetime | None


class NewWebhookOut(WebhookOut):
    """A webhook that was just made."""

    secret: str = Field(description="The key that signs its deliveries. vcpbench does not show it again.")


class WebhookPage(BaseModel):
    """Some of your team's webhooks, the newest first."""

    items: list[WebhookOut]
    total: int


class DeliveryOut(BaseModel):
    """One event for one webhook."""

    id: UUID = Field(description="The header VCPBench-Delivery. It is the same at each attempt.")
    state: DeliveryState
    attempts: int = Field(description="How often it was sent since it was last asked for.")
    status: int | None = Field(description="HTTP status of the last attempt's answer.")
    error: str | None = Field(description="Why the last attempt failed.")
    due_at: datetime | None = Field(description="When the next attempt is due, if there is one.")
    created_at: datetime
    ended_at: datetime | None
    event: EventOut


class DeliveryPage(BaseModel):
    """Some deliveries of a webhook, the newest first."""

    items: list[DeliveryOut]
    total: int


def shown(webhook: Webhook) -> WebhookOut:
    """The webhook for a client."""
    return WebhookOut.model_validate(facts(webhook))


def facts(webhook: Webhook) -> dict[str, object]:
    """The fields of a webhook for a client."""
    return {
        "id": webhook.id,
        "team": webhook.team,
        "by": webhook.by,
        "address": str(parse(webhook.url)),
        "kinds": webhook.kinds,
        "form": webhook.form,
        "state": "off" if webhook.off_at else "failing" if webhook.failing_since else "on",
        "created_at": webhook.created_at,
        "failing_since": webhook.failing_since,
        "off_at": webhook.off_at,
    }


def delivery_out(delivery: Delivery, base: str) -> DeliveryOut:
    """The delivery for a client."""
    return DeliveryOut(
        id=delivery.id,
        state=delivery.state,
        attempts=delivery.attempts,
        status=delivery.status,
        error=delivery.error,
        due_at=delivery.due_at if delivery.state is DeliveryState.WAITING else None,
        created_at=delivery.created_at,
        ended_at=delivery.ended_at,
        event=EventOut.of(delivery.event, base),
    )
