"""The page of administrators: who gets it, what it shows, what its forms change, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.auth import COOKIE, form_key
from tests.crew import Crew
from tests.served import Served, open_http
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import noise, one_shot
from tests.signed_in import sign_in
from tests.web.browser import NARROW, WIDE, chromium
from tests.web.conftest import Site
from tests.web.read import Page
from tests.web.test_pages import HOSTILE, HTML
from tests.web.test_writing import forms, secret_of, send
from tests.web.test_writing_browser import check, visit


@pytest.fixture
def crew(site: Site) -> Crew:
    """Two jobs of an evaluation that waits, one that failed, and a worker."""
    crew = Crew(site.api.database)
    one_shot(site.api.client, noise(10))
    crew.fail(crew.claim(None, "cpu"), HOSTILE)
    with site.api.database.session() as session:
        ready_dataset(session)
        checkpoint = str(ready_checkpoint(session, "fresh").id)
    site.api.evaluate(checkpoint, "gestures")
    return crew


@pytest.fixture
def admin(site: Site) -> Iterator[httpx.Client]:
    """A browser that an administrator has logged in."""
    headers = {**HTML, "Cookie": f"{COOKIE}={secret_of(site)}", "Sec-Fetch-Site": "same-origin"}
    with open_http(site.api.url, headers=headers) as client:
        yield client


def states(api: Served) -> dict[str, int]:
    found: dict[str, int] = {}
    for state in ("queued", "running", "failed", "cancelled"):
        found[state] = api.client.get("/v1/admin/queue", params={"state": state}).json()["total"]
    return found


def test_only_administrators_get_the_page_and_its_link(site: Site, crew: Crew) -> None:
    assert "/admin" in [one.attributes["href"] for one in site.page("/models").root.all("a")]
    with site.api.client_of("vision") as client:
        for path in ("/admin", "/admin/live"):
            assert client.get(path, headers=HTML).status_code == 403
        page = Page.of(client.get("/models", headers=HTML))
        assert "/admin" not in [one.attributes["href"] for one in page.root.all("a")]
        secret = client.headers["Authorization"].removeprefix("Bearer ")
    with open_http(site.api.url, headers={**HTML, "Cookie": f"{COOKIE}={secret}"}) as client:
        for action in ("pause", "drain", "job", "quota", "sign-out"):
            answer = client.post(f"/forms/admin/{action}", data={"key": form_key(secret)})
            assert answer.status_code == 403, action
    with open_http(site.api.url, headers=HTML) as nobody:
        assert nobody.get("/admin").status_code == 401


def test_the_page_lists_jobs_by_state_kind_and_team(site: Site, crew: Crew) -> None:
    page = site.page("/admin")
    assert "default/fresh on gestures" in page.text
    assert page.text.count("extract") >= 2  # of the evaluation that runs
    failed = site.page("/admin?show=failed")
    assert HOSTILE in failed.text
    assert "<script>alert" not in failed.html
    assert "No job waits or runs." in site.page("/admin?team=nobody").text
    assert "default/fresh" not in site.page("/admin?kind=extract").text
    live = site.get("/admin/live?kind=extract")
    assert "<html" not in live.text
    assert live.headers["Cache-Control"] == "no-store"


def test_forms_cancel_jobs_and_do_them_again(site: Site, crew: Crew, admin: httpx.Client) -> None:
    before = states(site.api)
    page = send(admin, "/admin?kind=plan", "/forms/admin/job")
    assert "No job waits or runs." in page.text
    assert states(site.api)["cancelled"] == before["cancelled"] + 1
    send(admin, "/admin?show=cancelled", "/forms/admin/job")
    assert states(site.api)["queued"] == before["queued"]
    again = send(admin, "/admin?show=failed", "/forms/admin/job")
    assert "No such job failed." in again.text
    gone = admin.post(
        "/forms/admin/job", data={"key": form_key(secret_of(site)), "job": "0000beef", "cancel": "true"}
    )
    assert gone.status_code == 404


def test_forms_pause_and_resume_drain_and_undo(site: Site, crew: Crew, admin: httpx.Client) -> None:
    page = send(admin, "/admin", "/forms/admin/pause", what="gpu", why=f"drivers {HOSTILE}")
    assert "gpu is paused by test since" in page.text
    assert "<script>alert" not in page.html
    page = send(admin, "/admin", "/forms/admin/drain")
    assert "ends after its job, asked by test" in page.text
    page = send(admin, "/admin", "/forms/admin/drain")
    assert "ends after its job" not in page.text
    (resume,) = forms(Page.of(admin.get("/admin")), "/forms/admin/pause", resume="true")
    fields = {one.attributes["name"]: one.attributes["value"] for one in resume.all("input")}
    answer = admin.post("/forms/admin/pause", data={**fields, "resume": "true"})
    assert answer.status_code == 303
    assert "paused by" not in Page.of(admin.get("/admin")).text
    empty = admin.post("/forms/admin/pause", data={**fields, "why": " "})
    assert empty.status_code == 422


def test_a_form_sets_the_quota_of_a_team(site: Site, admin: httpx.Client) -> None:
    assert forms(site.page("/admin"), "/forms/admin/quota") == []
    page = send(admin, "/admin?team=default", "/forms/admin/quota", num_bytes="5000000", running="0")
    assert "5.0 MB" in page.text
    used = site.api.client.get("/v1/quota").json()
    assert [used[name]["own"] for name in ("num_bytes", "uploads_a_day", "running")] == [True, False, True]
    page = send(admin, "/admin?team=default", "/forms/admin/quota", num_bytes="")
    assert "5.0 MB" not in page.text
    data = {"key": form_key(secret_of(site)), "team": "default", "num_bytes": "5 GB"}
    assert "num_bytes" in admin.post("/forms/admin/quota", data=data).text


def test_a_form_signs_a_person_out_of_every_browser(site: Site, admin: httpx.Client) -> None:
    assert "Signed in" not in site.page("/admin").text
    for name in (HOSTILE, "anna@example.org", "anna@example.org"):
        sign_in(site.api, name)
    page = site.page("/admin")
    assert page.text.count("Sign out anna@example.org") == 2
    assert "<script>alert" not in page.html
    assert "Signed in" not in site.page("/admin?team=audio").text
    page = send(admin, "/admin", "/forms/admin/sign-out")
    assert "anna@example.org" not in page.text
    assert HOSTILE in page.text
    fields = {"key": form_key(secret_of(site)), "person": "anna@example.org"}
    again = Page.of(admin.post("/forms/admin/sign-out", data=fields))
    assert "Nobody called 'anna@example.org' is signed in" in again.text
    assert admin.post("/forms/admin/sign-out", data={**fields, "person": "a\0"}).status_code == 422


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", NARROW), ("dark", WIDE)],
    ids=["light-wide", "dark-narrow", "light-narrow", "dark-wide"],
)
def test_the_page_is_accessible_fits_and_follows_the_queue(
    browser: Browser, site: Site, crew: Crew, scheme: str, viewport: Any, tmp_path: Path
) -> None:
    site.api.client.put("/v1/admin/pauses/gpu", json={"why": "The GPUs get new drivers until noon."})
    sign_in(site.api, "anna@example.org")
    visitor = visit(browser, site, color_scheme=scheme, viewport=viewport)
    visitor.log_in(secret_of(site))
    page = visitor.page
    for path in ("/admin", "/admin?show=failed", "/admin?team=default"):
        page.goto(site.api.url + path)
        check(visitor, path, viewport["width"], tmp_path)
    page.goto(f"{site.api.url}/admin")
    site.api.client.delete("/v1/admin/pauses/gpu")
    expect(page.get_by_text("is paused by")).to_have_count(0)
    crew.claim(None, "cpu")
    expect(page.get_by_role("region", name="Workers").get_by_text("plan")).to_be_visible()
    page.get_by_role("button", name="Drain host:1").click()
    expect(page.get_by_text("ends after its job, asked by test")).to_be_visible()
    assert visitor.faults == []
    visitor.context.close()
