"""The page of a team's webhooks, with their last deliveries. writing.py has its forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Depends, Request, Response
from sqlalchemy.orm import Session

from records.models import WebhookForm
from records.repositories import webhooks
from service.auth import AnyCaller, Caller
from service.auth import reader as by_token
from service.deps import Router, SessionDep
from service.web.pages import render
from service.webhooks import service
from service.webhooks.schemas import KINDS, DeliveryOut, WebhookOut, delivery_out, shown

DELIVERIES = 10  # of each webhook on the page; the API lists all
router = Router(include_in_schema=False, dependencies=[Depends(by_token)])


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A webhook with its last deliveries, and how many there are."""

    shown: WebhookOut
    deliveries: Sequence[DeliveryOut]
    total: int


@router.get("/webhooks")
def show(request: Request, caller: AnyCaller, session: SessionDep) -> Response:
    """The webhooks of the reader's team."""
    return render(
        request,
        "webhooks.html",
        hooks=_hooks(session, caller),
        team=caller.team,
        kinds=KINDS,
        most=service.MAX_WEBHOOKS,
        forms=[form.value for form in WebhookForm],
    )


def _hooks(session: Session, caller: Caller) -> list[Hook]:
    found, _ = webhooks.page(session, caller.team, limit=service.MAX_WEBHOOKS)
    hooks = []
    for webhook in found:
        last, total = webhooks.deliveries(session, webhook.id, limit=DELIVERIES)
        sent = [delivery_out(one, "") for one in last]
        hooks.append(Hook(shown=shown(webhook), deliveries=sent, total=total))
    return hooks
