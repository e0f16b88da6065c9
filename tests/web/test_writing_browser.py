"""Chromium fills in the forms of pages, with and without scripts, and opens a link that shares one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.patience import DEADLINE_S
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from tests.web.conftest import Site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def visit(browser: Browser, site: Site, **options: Any) -> Visitor:
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(DEADLINE_S * 1000)
    return Visitor(context, site.api.url)


def secret_of(site: Site) -> str:
    return str(site.api.client.headers["Authorization"].removeprefix("Bearer "))


def check(visitor: Visitor, path: str, width: int, pictures: Path | None) -> None:
    """No rule of axe-core is broken, nothing is wider than the window, and no script complained."""
    page = visitor.page
    for summary in page.locator("main summary").all():
        summary.click()
    if pictures is not None:
        name = f"{path.strip('/').split('?')[0].replace('/', '-')[:30] or 'board'}-{width}.png"
        page.screenshot(path=str(pictures / name), full_page=True)
    assert visitor.violations() == [], path
    assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert visitor.faults == []


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_pages_with_names_and_forms_are_accessible_and_fit(
    browser: Browser, site: Site, scheme: str, viewport: Any, tmp_path: Path
) -> None:
    client = site.api.client
    note = {"text": "The learning rate was too high.\nSee the run of Tuesday. " + "x" * 150}
    client.post("/v1/notes", params={"evaluation": str(site.best)}, json=note)
    client.put("/v1/aliases/champion", json={"checkpoint": "r3d-vcp@latest"})
    client.post("/v1/models/tags", json={"model": "r3d-vcp", "add": ["production", "kinetics"]})
    client.post("/v1/views", json={"name": "our newest", "address": "/?latest=true"})
    client.post("/v1/views", json={"name": "in production", "address": "/models?tag=production"})
    link = client.post("/v1/shares", json={"evaluation": str(site.best)}).json()["url"]
    visitor = visit(browser, site, color_scheme=scheme, viewport=viewport)
    visitor.log_in(secret_of(site))
    for path in (
        "/",
        "/models",
        "/models/default/r3d-vcp",
        f"/evaluations/{site.best}",
        f"/compare?first={site.second}&second={site.best}",
        f"/delete/evaluation/{site.best}",
        "/delete/model/default/r3d-vcp",
        "/sizes",
        str(link).removeprefix(site.api.url),
        "/shared/vcs_nothing",
    ):
        assert visitor.page.goto(site.api.url + path) is not None
        if path == "/shared/vcs_nothing":
            visitor.faults.clear()  # Chromium prints that the answer was 404
        check(visitor, path, viewport["width"], tmp_path)
    visitor.context.close()


def test_without_scripts_the_forms_write(browser: Browser, site: Site) -> None:
    visitor = visit(browser, site, java_script_enabled=False, viewport=NARROW)
    page = visitor.page
    page.goto(f"{site.api.url}/login")
    page.get_by_label("Token").fill(secret_of(site))
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{site.api.url}/evaluations/{site.best}")
    page.get_by_text("Write a note").click()
    page.get_by_label("Note").fill("two\nlines")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator(".written")).to_have_text("two\nlines")
    page.get_by_text("Point an alias here").click()
    page.get_by_label("Alias").fill("champion")
    page.get_by_role("button", name="Point it here").click()
    expect(page.locator("#notes")).to_contain_text("@champion")
    page.get_by_text("Share this page").click()
    page.get_by_role("button", name="Make a link").click()
    address = page.locator("input.whole-line").input_value()
    stranger = visit(browser, site, java_script_enabled=False)
    answer = stranger.page.goto(address)
    assert answer is not None
    assert answer.status == 200
    picture = stranger.page.locator("noscript img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth > 0")
    assert visitor.faults == stranger.faults == []
    for one in (visitor, stranger):
        one.context.close()
