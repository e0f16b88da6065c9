"""The page of webhooks: what it shows, what its forms do, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser
from sqlalchemy import select, update

from records.db import NOW
from records.models import Delivery, DeliveryState, EventKind, Webhook
from records.repositories import events
from service.auth import COOKIE
from tests.served import open_http
from tests.service.kit import problem_of
from tests.web.browser import NARROW, WIDE, chromium
from tests.web.conftest import Site
from tests.web.read import Page
from tests.web.test_pages import HOSTILE, HTML
from tests.web.test_writing import filled, forms, secret_of, send
from tests.web.test_writing_browser import check, visit

URL = "https://hooks.example.org/T0/path-is-a-secret"


@pytest.fixture
def person(site: Site) -> Iterator[httpx.Client]:
    """A browser that somebody of team "default" has logged in."""
    headers = {**HTML, "Cookie": f"{COOKIE}={secret_of(site)}", "Sec-Fetch-Site": "same-origin"}
    with open_http(site.api.url, headers=headers) as client:
        yield client


def make(site: Site, **more: Any) -> str:
    answer = site.api.client.post("/v1/webhooks", json={"url": URL, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def happen(site: Site, kind: EventKind = EventKind.EVALUATION_DONE, **facts: Any) -> None:
    with site.api.database.session() as session:
        found = {"model": "r3d-vcp", **facts}
        events.add(session, kind, team="default", facts=found, evaluation_id=site.best)


def test_a_webhook_is_made_tested_and_deleted_on_the_page(site: Site, person: httpx.Client) -> None:
    assert "None yet." in Page.of(person.get("/webhooks")).text
    made = send(person, "/webhooks", "/forms/webhook", url=f" {URL} ", form="slack")
    (field,) = made.root.all("input", class_="whole-line")
    secret = field.attributes["value"]
    assert secret.startswith("vch_")
    page = Page.of(person.get("/webhooks"))
    assert secret not in page.html
    assert "path-is-a-secret" not in page.html
    assert "https://hooks.example.org on" in page.text
    with site.api.database.session() as session:
        (hook,) = session.scalars(select(Webhook))
        assert (hook.team, hook.by, hook.form.value) == ("default", "test", "slack")
    page = send(person, "/webhooks", "/forms/webhook")
    assert "webhook.test" in page.text
    (form,) = [one for one in forms(page, "/forms/webhook") if "delete" in filled(one)]
    assert person.post("/forms/webhook", data=filled(form)).status_code == 303
    assert "None yet." in Page.of(person.get("/webhooks")).text


def test_a_delivery_that_failed_says_why_and_is_sent_again(site: Site, person: httpx.Client) -> None:
    make(site)
    happen(site, model=HOSTILE)
    with site.api.database.session() as session:
        ended = {"state": DeliveryState.FAILED, "attempts": 18, "ended_at": NOW, "error": f"no {HOSTILE}"}
        session.execute(update(Delivery).values(**ended))
        session.execute(update(Webhook).values(off_at=NOW, failing_since=NOW))
    page = Page.of(person.get("/webhooks"))
    assert "was switched off" in page.text
    assert f"no {HOSTILE}" in page.text
    assert "<script>alert" not in page.html
    page = send(person, "/webhooks", "/forms/delivery")
    assert "waiting" in page.text
    assert forms(page, "/forms/delivery") == []


def test_a_url_that_is_refused_says_why(site: Site, person: httpx.Client) -> None:
    form = forms(Page.of(person.get("/webhooks")), "/forms/webhook")[0]
    answer = person.post(
        "/forms/webhook", data={**filled(form), "form": "slack", "url": "https://127.0.0.1/"}
    )
    assert answer.status_code == 422
    assert "no public address" in Page.of(answer).text


def test_only_its_team_sees_a_webhook_and_only_who_is_logged_in_the_page(site: Site) -> None:
    make(site)
    with open_http(site.api.url, headers=HTML) as anyone, site.api.client_of("others") as others:
        assert anyone.get("/webhooks").status_code == 401
        assert "hooks.example.org" not in others.get("/webhooks", headers=HTML).text
        assert "Webhooks" not in anyone.get("/login").text
    with site.api.client_of("others") as others:
        problem_of(others.delete(f"/v1/webhooks/{make(site)}"), 404)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_the_page_is_accessible_and_fits(
    browser: Browser, site: Site, scheme: str, viewport: Any, tmp_path: Path
) -> None:
    make(site, form="slack", kinds=["gate.verdict"])
    make(site)
    for kind in (EventKind.EVALUATION_DONE, EventKind.EVALUATION_FAILED, EventKind.GATE_VERDICT):
        happen(site, kind)
    with site.api.database.session() as session:
        first, second, *_ = session.scalars(select(Delivery).order_by(Delivery.event_id)).all()
        first.state, first.attempts, first.status = DeliveryState.DELIVERED, 1, 204
        second.state, second.attempts, second.status = DeliveryState.FAILED, 18, 500
        second.error = "the receiver answered 500"
        session.execute(update(Webhook).where(Webhook.id == first.webhook_id).values(failing_since=NOW))
    visitor = visit(browser, site, color_scheme=scheme, viewport=viewport)
    visitor.log_in(secret_of(site))
    visitor.go("/webhooks")
    check(visitor, "/webhooks", viewport["width"], tmp_path)
