"""The gallery in Chromium: two clicks from the board to a wrong answer that plays, for eyes and for keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from records.models import Evaluation
from tests.service.test_answers import list_videos
from tests.web.browser import NARROW, WIDE, ZOOMED, chromium
from tests.web.conftest import Site
from tests.web.test_browser import visit


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def shown(site: Site) -> Site:
    """With the classes of neighbours, and with random weights beside."""
    list_videos(site)
    with site.api.database.session() as session:
        evaluation = session.get_one(Evaluation, site.best)
        evaluation.controls.append(session.get_one(Evaluation, site.control))
    return site


def galleries(site: Site) -> list[str]:
    gallery = f"/evaluations/{site.best}/gallery"
    return [
        f"{gallery}?right=false",
        f"{gallery}?benchmark=cloze&right=false&truth=remote&variant=before",
        f"{gallery}?benchmark=retrieval",
        f"{gallery}?right=false&against={site.second}&against_right=true",
        f"{gallery}?video=nothing",
        f"{gallery}?offset=5000",
    ]


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", ZOOMED)],
    ids=["light", "dark", "zoomed"],
)
def test_every_gallery_is_accessible_and_fits(
    browser: Browser, shown: Site, scheme: str, viewport: Any
) -> None:
    visitor = visit(browser, shown, color_scheme=scheme, viewport=viewport)
    for path in galleries(shown):
        assert visitor.go(path).status == 200
        for summary in visitor.page.locator("main summary").all()[:3]:
            summary.click()
        assert visitor.violations() == [], path
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{path} is {width} wide"
    assert [fault for fault in visitor.faults if "404" not in fault] == []  # no worker makes previews here
    visitor.context.close()


def test_two_clicks_lead_from_the_board_to_the_preview_of_a_wrong_answer(
    browser: Browser, shown: Site
) -> None:
    visitor = visit(browser, shown)
    page = visitor.page
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="448" height="224"/>'
    page.route(
        re.compile(r"/v1/media/.*\.webp$"),
        lambda one: one.fulfill(content_type="image/svg+xml", body=picture),
    )
    visitor.go("/")
    page.get_by_role("link", name="wrong answers of r3d-vcp step 9000").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What r3d-vcp at step 9000 got wrong")
    with page.expect_request(re.compile(r"/v1/media/.*\.webm$")):
        page.get_by_role("button", name="Play: ").first.click()
    visitor.context.close()


def test_a_cell_leads_to_its_videos_and_the_view_stays_in_the_address(browser: Browser, shown: Site) -> None:
    visitor = visit(browser, shown)
    page = visitor.page
    visitor.go(f"/evaluations/{shown.best}")
    cell = page.locator("table.matrix").first.get_by_role("link", name=" taken for ").first
    count = int(cell.inner_text())
    cell.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/gallery?*")
    expect(page.get_by_role("listitem").and_(page.locator(".answer"))).to_have_count(min(count, 24))
    page.get_by_label("Sort").select_option("video")
    page.get_by_role("button", name="Show").click()
    assert "sort=video" in page.url
    assert "truth=" in page.url
    page.get_by_role("link", name="Clear filters").click()
    page.get_by_role("link", name="Next").click()
    assert "offset=24" in page.url
    page.go_back()
    assert "offset" not in page.url
    visitor.context.close()


def test_without_previews_all_is_said_in_words(shown: Site) -> None:
    page = shown.page(f"/evaluations/{shown.best}/gallery?benchmark=cloze&right=false")
    assert "taken for" in page.text
    assert "% sure" in page.text
    assert "random weights, seed 0:" in page.text
    page = shown.page(f"/evaluations/{shown.running}/gallery", 409)
    assert "is running" in page.text


def test_with_previews_off_the_page_says_who_switched_them_off_and_has_no_pictures(
    browser: Browser, shown: Site
) -> None:
    answer = shown.api.client.patch("/v1/datasets/playground", json={"shows_media": False})
    assert answer.json()["shows_media"] is False
    said = "No pictures are shown: an administrator switched previews of the dataset playground off."
    visitor = visit(browser, shown)
    for path in galleries(shown)[:4]:
        visitor.go(path)
        expect(visitor.page.locator("main")).to_contain_text(said)
        expect(visitor.page.locator(".answer").first).to_be_visible()
        assert visitor.page.locator(".preview, main img").count() == 0
        assert "Each picture" not in visitor.page.locator("main").inner_text()
    assert visitor.faults == []
    assert "/v1/media" not in shown.api.client.get(f"/v1/evaluations/{shown.best}/answers").text
    visitor.context.close()
