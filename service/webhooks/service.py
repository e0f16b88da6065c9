"""Make and delete webhooks, test them, and send deliveries again."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from records import destinations
from records.models import Delivery, DeliveryState, EventKind, Webhook
from records.repositories import events, locks, webhooks
from records.settings import Settings
from service.auth import Caller, is_of
from service.problems import Conflict, NotFound, TooMany
from service.webhooks.schemas import WebhookIn

MAX_WEBHOOKS = 20  # of a team


def create(session: Session, wanted: WebhookIn, caller: Caller, settings: Settings) -> Webhook:
    """Make a webhook for the caller's team.

    Raises:
        DestinationRefused: If no webhook may lead there.
        TooMany: If the team has too many.
    """
    destinations.check_early(destinations.parse(wanted.url), settings.webhook_networks)
    locks.take(session, f"vcpbench.webhooks.{caller.team}")  # two at once are counted one by one
    number = webhooks.count(session, caller.team)
    if number >= MAX_WEBHOOKS:
        raise TooMany(
            f"Team {caller.team!r} has {number} webhooks, and {MAX_WEBHOOKS} are allowed. Delete one first: "
            "DELETE /v1/webhooks/ID.",
            limit="webhooks",
            used=number,
            allowed=MAX_WEBHOOKS,
        )
    kinds = list(dict.fromkeys(wanted.kinds))
    return webhooks.create(
        session, team=caller.team, by=caller.name, url=wanted.url, kinds=kinds, form=wanted.form
    )


def find(session: Session, webhook_id: UUID, caller: Caller, *, lock: bool = False) -> Webhook:
    """Find a webhook of the caller's team, or of any for an administrator.

    Raises:
        NotFound: If there is none.
    """
    found = webhooks.get(session, webhook_id, lock=lock)
    if found is None or not is_of(found.team, caller):
        raise NotFound(f"Team {caller.team!r} has no webhook {webhook_id}. List them: GET /v1/webhooks.")
    return found


def delete(session: Session, webhook_id: UUID, caller: Caller) -> Webhook:
    """Delete a webhook with its deliveries, and return it.

    Raises:
        NotFound: If there is none.
    """
    found = find(session, webhook_id, caller, lock=True)
    webhooks.delete(session, found)
    return found


def test(session: Session, webhook_id: UUID, caller: Caller) -> Delivery:
    """Send a test event to a webhook, also if it is switched off. A test that waits is sent now.

    Raises:
        NotFound: If there is none.
        Conflict: If a test of it is being sent.
    """
    found = find(session, webhook_id, caller, lock=True)
    waiting = webhooks.waiting_test(session, found.id)
    if waiting is not None:
        if waiting.token is not None:
            raise Conflict(
                f"A test of webhook {found.id} is being sent: delivery {waiting.id}. Its result is listed by "
                f"GET /v1/webhooks/{found.id}/deliveries."
            )
        webhooks.send_now(session, waiting)
        webhooks.hurry(session, found)
        return waiting
    facts = {"by": caller.name}
    event = events.add(session, EventKind.WEBHOOK_TEST, team=found.team, facts=facts, webhook_id=found.id)
    webhooks.hurry(session, found)
    return webhooks.of_event(session, found.id, event.id)


def redeliver(session: Session, webhook_id: UUID, delivery_id: UUID, caller: Caller) -> Delivery:
    """Send a delivery that has ended once more, under the same id.

    Raises:
        NotFound: If the webhook has no such delivery.
        Conflict: If it has not ended.
    """
    found = find(session, webhook_id, caller, lock=True)
    delivery = webhooks.delivery(session, found.id, delivery_id)
    if delivery is None:
        raise NotFound(
            f"Webhook {found.id} has no delivery {delivery_id}. List them: "
            f"GET /v1/webhooks/{found.id}/deliveries."
        )
    if delivery.state is DeliveryState.WAITING:
        raise Conflict(
            f"Delivery {delivery_id} has not ended: its next attempt is due at "
            f"{delivery.due_at:%Y-%m-%d %H:%M:%S %Z}."
        )
    webhooks.redeliver(session, delivery)
    webhooks.hurry(session, found)
    return delivery
