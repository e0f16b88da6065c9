"""`/v1/webhooks`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from records.repositories import webhooks
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep, SettingsDep
from service.problems import WITH_BODY, Forbidden, responses
from service.webhooks import service
from service.webhooks.schemas import (
    DeliveryOut,
    DeliveryPage,
    NewWebhookOut,
    WebhookIn,
    WebhookOut,
    WebhookPage,
    delivery_out,
    facts,
    shown,
)

router = Router(prefix="/webhooks", tags=["webhooks"])


@router.get("", responses=responses(403), summary="List your team's webhooks")
def page(
    caller: AnyCaller,
    session: SessionDep,
    team: Annotated[str | None, Query(description="Another team, for an administrator.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> WebhookPage:
    """Your team's webhooks, the newest first. Secrets and paths of URLs are not shown."""
    if team not in (None, caller.team) and not caller.admin:
        raise Forbidden("Only an administrator lists the webhooks of another team.")
    found, total = webhooks.page(session, team or caller.team, limit=limit, offset=offset)
    return WebhookPage(items=[shown(one) for one in found], total=total)


@router.post("", status_code=201, responses=responses(*WITH_BODY), summary="Make a webhook")
def create(body: WebhookIn, caller: AnyCaller, session: SessionDep, settings: SettingsDep) -> NewWebhookOut:
    """Make a webhook for your team. The answer has its secret, which is shown only now."""
    found = service.create(session, body, caller, settings)
    return NewWebhookOut.model_validate({**facts(found), "secret": found.secret})


@router.delete("/{webhook_id}", responses=responses(404), summary="Delete a webhook")
def delete(webhook_id: UUID, caller: AnyCaller, session: SessionDep) -> WebhookOut:
    """Delete a webhook of your team and its deliveries. To undo this, make a new webhook."""
    return shown(service.delete(session, webhook_id, caller))


@router.post("/{webhook_id}/test", status_code=202, responses=responses(404, 409), summary="Test a webhook")
def test(webhook_id: UUID, caller: AnyCaller, session: SessionDep, settings: SettingsDep) -> DeliveryOut:
    """Send an event of the kind `webhook.test`. If the receiver takes it, a webhook that is off goes on."""
    return delivery_out(service.test(session, webhook_id, caller), settings.public_url)


@router.get("/{webhook_id}/deliveries", responses=responses(404), summary="List deliveries")
def deliveries(
    webhook_id: UUID,
    caller: AnyCaller,
    session: SessionDep,
    settings: SettingsDep,
    limit: Limit = 50,
    offset: Offset = 0,
) -> DeliveryPage:
    """The deliveries of a webhook in the last 30 days, the newest first."""
    webhook = service.find(session, webhook_id, caller)
    found, total = webhooks.deliveries(session, webhook.id, limit=limit, offset=offset)
    return DeliveryPage(items=[delivery_out(one, settings.public_url) for one in found], total=total)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    responses=responses(404, 409),
    summary="Send a delivery again",
)
def redeliver(
    webhook_id: UUID, delivery_id: UUID, caller: AnyCaller, session: SessionDep, settings: SettingsDep
) -> DeliveryOut:
    """Send a delivery that has ended once more, under the same id."""
    return delivery_out(service.redeliver(session, webhook_id, delivery_id, caller), settings.public_url)
