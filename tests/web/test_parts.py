"""Parts of pages in Chromium: copying, ticking, filters that apply at once, the columns, the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.served import Served
from tests.service.finished import ready_dataset
from tests.web import played
from tests.web.browser import NARROW, WIDE, ZOOMED, Visitor, chromium
from tests.web.conftest import Site
from tests.web.test_browser import visit


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    found = visit(browser, site)
    yield found
    found.context.close()
    assert found.faults == []


def without_scripts(browser: Browser, visitor: Visitor) -> BrowserContext:
    """The same reader, with scripts switched off."""
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)  # type: ignore[arg-type]
    context.add_cookies(visitor.context.cookies())  # type: ignore[arg-type]
    return context


def models(page: Page) -> Locator:
    return page.locator("table.board tbody:first-of-type th a:first-child")


def test_a_block_of_code_is_copied_by_keyboard_and_the_page_says_so(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.go("/submit")
    page = visitor.page
    button = page.get_by_role("button", name="Copy: Commands of the client")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_text("Copied")
    expect(page.locator("body > [role=status]").first).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("pre[aria-label='Commands of the client'] code").text_content()
    expect(button).to_be_focused()
    expect(button).to_have_text("Copy")


def test_a_browser_that_gives_no_clipboard_copies_by_the_old_way(browser: Browser, site: Site) -> None:
    visitor = visit(browser, site)
    visitor.context.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    visitor.go("/submit")
    visitor.page.evaluate(
        "document.addEventListener('copy', () => document.title = getSelection().toString().slice(0, 14))"
    )
    button = visitor.page.get_by_role("button", name="Copy: Commands of the client")
    button.click()
    expect(button).to_have_text("Copied")
    expect(visitor.page).to_have_title("vcpbench login")
    assert visitor.faults == []
    visitor.context.close()


def test_a_sentence_beside_the_button_says_what_ticks_lead_to(visitor: Visitor) -> None:
    visitor.go("/")
    page = visitor.page
    told, boxes = page.locator("#ticked"), page.locator("table.board input")
    expect(told).to_have_text("Tick two to 50 rows.")
    for place, words in enumerate(("Tick one more", "how the two differ", "each with the first of them")):
        boxes.nth(place).check()
        expect(told).to_contain_text(words)
    button = page.get_by_role("button", name="Compare the ticked")
    expect(button).to_have_accessible_description(re.compile("^3 ticked"))
    for place in range(5):
        expect(boxes.nth(place)).to_be_enabled()
    button.click()
    page.wait_for_url("**/compare?evaluation=*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("3 evaluations against")


def test_boxes_of_another_board_say_why_they_are_off(visitor: Visitor, site: Site) -> None:
    with site.api.database.session() as session:
        played.finished(session, ready_dataset(session, "later"), "r3d-vcp", seed=9, step=9000)
    visitor.go("/models/default/r3d-vcp")
    page = visitor.page
    other = page.get_by_label("Compare step 9000 on later under quick-v1")
    page.get_by_label("Compare step 6000 on playground under quick-v1").check()
    expect(other).to_be_disabled()
    expect(other).to_have_accessible_description(re.compile("on another board"))
    expect(page.locator("#ticked")).to_contain_text("only results of one board can be compared")
    page.get_by_label("Compare step 6000 on playground under quick-v1").uncheck()
    expect(other).to_be_enabled()
    expect(other).not_to_have_attribute("title", re.compile("."))


def test_filters_of_the_board_apply_at_once_and_keep_focus_and_ticks(visitor: Visitor) -> None:
    visitor.go("/")
    page = visitor.page
    expect(page.get_by_role("button", name="Show")).to_be_hidden()
    page.get_by_label("Compare c3d/rotation").check()
    field = page.get_by_role("textbox", name="Model")
    field.focus()
    page.keyboard.type("rot", delay=20)
    expect(models(page)).to_have_text(["c3d/rotation"])
    expect(field).to_be_focused()
    page.keyboard.type("ation")
    expect(page).to_have_url(re.compile("model=rotation&"))
    assert field.input_value() == "rotation"
    expect(page.get_by_label("Compare c3d/rotation")).to_be_checked()
    expect(page.locator("body > [role=status]").last).to_have_text("1 evaluation of 5")
    assert page.locator(".top .theme [name=next]").input_value() in page.url
    field.fill("")
    expect(models(page)).to_have_count(5)
    team = page.locator("select[name=team]")
    team.focus()
    page.keyboard.press("End")  # the last of the choices
    expect(models(page)).to_have_text(["c3d/rotation", "order"])
    expect(team).to_be_focused()
    page.go_back()
    expect(models(page)).to_have_count(5)


def test_without_scripts_a_button_applies_filters(browser: Browser, visitor: Visitor) -> None:
    context = without_scripts(browser, visitor)
    page = context.new_page()
    page.goto(visitor.url)
    page.locator("select[name=team]").select_option("vision")
    page.get_by_role("button", name="Show").click()
    expect(models(page)).to_have_text(["c3d/rotation", "order"])
    page.goto(f"{visitor.url}/models")
    page.get_by_role("search", name="Models").get_by_label("Name").fill("rot")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("region", name="Models").get_by_role("rowheader")).to_have_text(["c3d/rotation"])
    context.close()


def test_a_search_among_models_applies_at_once(visitor: Visitor) -> None:
    visitor.go("/models")
    page = visitor.page
    field = page.get_by_role("search", name="Models").get_by_label("Name")
    field.focus()
    page.keyboard.type("rot")
    expect(page.get_by_role("region", name="Models").get_by_role("rowheader")).to_have_text(["c3d/rotation"])
    expect(field).to_be_focused()
    page.keyboard.type("x")
    expect(page.get_by_role("heading", name="No model is called that")).to_be_visible()
    expect(field).to_be_focused()


def test_a_filter_that_the_server_refuses_leads_to_the_page_that_says_why(
    browser: Browser, site: Site
) -> None:
    visitor = visit(browser, site)
    visitor.go("/")
    page = visitor.page
    page.evaluate("document.querySelector('[data-applies] [name=sort]').value = '-recognition.top11'")
    page.get_by_label("newest of each model").check()
    expect(page.get_by_text("Did you mean 'recognition.top1'?")).to_be_visible()
    assert [fault for fault in visitor.faults if "404" not in fault] == []
    visitor.context.close()


def test_columns_are_grouped_found_and_chosen_together(visitor: Visitor) -> None:
    visitor.go("/")
    page = visitor.page
    page.get_by_text("Columns", exact=True).click()
    expect(page.locator(".picker h3")).to_have_text(["Cloze", "Recognition", "Retrieval"])
    expect(page.get_by_label("rotation 90", exact=True)).to_be_hidden()  # folded
    ranking = page.get_by_role("button", name="all of Retrieval: Ranking")
    ranking.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="top-50")).to_be_visible()
    expect(page.get_by_role("button", name="none of Retrieval: Ranking")).to_be_focused()
    find = page.get_by_label("Find a column")
    find.fill("rotation 90")
    expect(page.locator(".picker [data-group] .tick:visible")).to_have_text([" rotation 90"])
    page.get_by_label("rotation 90", exact=True).check()
    expect(page.get_by_role("columnheader", name="recall rotation 90")).to_be_visible()
    expect(find).to_have_value("rotation 90")
    page.get_by_role("link", name="Usual columns").click()
    expect(page.get_by_role("columnheader", name="top-50")).to_have_count(0)
    assert "metric=" not in page.url


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", ZOOMED)],
    ids=["light", "dark", "zoomed"],
)
def test_the_first_page_of_an_empty_server_is_accessible_and_fits(
    browser: Browser, api: Served, scheme: Any, viewport: Any
) -> None:
    visitor = Visitor(browser.new_context(color_scheme=scheme, viewport=viewport), api.url)
    visitor.log_in(api.client.headers["Authorization"].removeprefix("Bearer "))
    visitor.go("/")
    expect(visitor.page.locator(".ways-in h2")).to_have_text(
        ["Try the demo", "You are logged in", "Upload a checkpoint"]
    )
    assert visitor.violations() == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert visitor.faults == []
    visitor.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_looks_like_the_other_pages(browser: Browser, site: Site, scheme: str) -> None:
    visitor = visit(browser, site, color_scheme=scheme, viewport=NARROW)

    def look(selector: str) -> list[str]:
        found: list[str] = visitor.page.locator(selector).first.evaluate(
            "element => { const style = getComputedStyle(element);"
            " return [style.fontFamily, style.color, style.fontSize]; }"
        )
        return found

    ground = "getComputedStyle(document.documentElement).backgroundColor"
    visitor.go("/evaluations")
    usual, paper = look("main td"), visitor.page.evaluate(ground)
    visitor.go("/docs")
    visitor.page.locator(".opblock").first.wait_for()
    assert look(".swagger-ui .info p") == usual
    assert visitor.page.evaluate(ground) == paper
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    visitor.context.close()
