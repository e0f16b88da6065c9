"""Chromium goes through every page: no error, no other host, nothing that axe-core calls serious."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from records.models import Evaluation, EvaluationState
from tests.patience import DEADLINE_S
from tests.service.finished import ready_dataset
from tests.service.measured import counted_dataset, ran
from tests.web import played
from tests.web.browser import NARROW, WIDE, ZOOMED, Visitor, chromium
from tests.web.conftest import Site
from vcp_core.catalog.errors import VcpbenchError


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def visit(browser: Browser, site: Site, **options: Any) -> Visitor:
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(DEADLINE_S * 1000)  # of a step that is no expectation
    visitor = Visitor(context, site.api.url)
    visitor.log_in(site.api.client.headers["Authorization"].removeprefix("Bearer "))
    return visitor


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    found = visit(browser, site)
    yield found
    found.context.close()
    assert found.faults == []


def paths(site: Site) -> list[str]:
    return [
        "/",
        "/?model=nothing",
        "/?intervals=true",
        "/models",
        "/evaluations",
        f"/evaluations/{site.best}",
        f"/evaluations/{site.running}",
        f"/evaluations/{site.failed}",
        f"/evaluations/{site.cancelled}",
        "/models/default/r3d-vcp",
        f"/compare?first={site.second}&second={site.best}",
        f"/compare?first={site.best}&second={site.second}",  # which nobody makes
        "/compare",
        "/submit",
        "/tokens",
        "/login",
    ]


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", ZOOMED)],
    ids=["light", "dark", "zoomed"],
)
def test_every_page_is_accessible_and_fits(browser: Browser, site: Site, scheme: str, viewport: Any) -> None:
    visitor = visit(browser, site, color_scheme=scheme, viewport=viewport)
    for path in paths(site):
        assert visitor.go(path).status == 200
        for summary in visitor.page.locator("main summary").all():
            summary.click()
        assert visitor.violations() == [], path
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{path} is {width} wide"
    assert visitor.faults == []
    visitor.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_is_drawn_from_its_description_and_can_be_tried(
    browser: Browser, site: Site, scheme: str
) -> None:
    visitor = visit(browser, site, color_scheme=scheme)
    page = visitor.page
    visitor.go("/docs")
    operation = page.locator(".opblock", has=page.get_by_text("List evaluations"))
    operation.wait_for()
    # Swagger UI puts a link to the operation into the button that unfolds it; the rest is ours to answer for.
    assert visitor.violations(but=["nested-interactive"]) == []
    operation.locator("button.opblock-summary-control").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    assert visitor.faults == []
    visitor.context.close()


def test_a_choice_shows_an_estimate_at_once(browser: Browser, site: Site) -> None:
    dataset = counted_dataset(site.api)
    with site.api.database.session() as session:
        ran(session, dataset)
    visitor = visit(browser, site, viewport=NARROW)
    page = visitor.page
    visitor.go("/submit")
    page.get_by_role("form", name="Estimate").get_by_label("Dataset").select_option("gestures")
    page.get_by_role("form", name="Estimate").get_by_label("Backbone").select_option("r3d_tiny")
    expect(page.locator("#estimate")).to_contain_text("most of it for")
    assert page.url.endswith("/submit")
    assert visitor.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.get_by_role("form", name="Estimate").get_by_label("Backbone").select_option("r3d")
    expect(page.locator("#estimate")).to_contain_text("no evaluation of r3d ran here yet")
    assert visitor.faults == []
    visitor.context.close()


def test_without_scripts_a_button_estimates(browser: Browser, site: Site) -> None:
    counted_dataset(site.api)
    visitor = visit(browser, site)
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    context.add_cookies(visitor.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{site.api.url}/submit")
    page.get_by_role("form", name="Estimate").get_by_label("Dataset").select_option("gestures")
    page.get_by_role("form", name="Estimate").get_by_label("Backbone").select_option("r3d_tiny")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#estimate")).to_contain_text("no evaluation of r3d_tiny ran here yet")
    assert "backbone=r3d_tiny" in page.url
    context.close()
    visitor.context.close()


def test_an_error_page_is_accessible_too(browser: Browser, site: Site) -> None:
    visitor = visit(browser, site)
    assert visitor.go("/nothing").status == 404
    assert visitor.violations() == []
    assert [fault for fault in visitor.faults if "404" not in fault] == []
    visitor.context.close()


def test_a_link_with_a_token_logs_in_and_leaves_no_token_behind(visitor: Visitor) -> None:
    assert visitor.page.url == f"{visitor.url}/"
    assert visitor.page.evaluate("document.cookie") == ""
    visitor.page.go_back()
    assert "token" not in visitor.page.url
    visitor.go("/")
    visitor.page.get_by_role("button", name="Log out").click()
    expect(visitor.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_board_is_sorted_filtered_and_its_columns_chosen(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    models = page.locator("table.board tbody:first-of-type th a:first-child")
    expect(models).to_have_text(["r3d-vcp", "r3d-vcp", "c3d/rotation", "order", "collapsed"])
    page.get_by_role("link", name="remote").click()
    expect(models.first).to_have_text("order")
    expect(page.locator("[aria-sort=descending]")).to_have_text("remote▾")
    page.get_by_role("link", name="remote").click()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("remote▴")
    page.locator("select[name=team]").select_option("vision")
    expect(models).to_have_count(2)
    assert "sort=cloze.recall.remote" in page.url
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("mAP", exact=True).check()
    page.get_by_role("group", name="kNN").get_by_label("top-1", exact=True).check()
    expect(page.get_by_role("columnheader", name="kNN top-1")).to_be_visible()
    page.get_by_role("link", name="Clear filters").click()
    expect(models).to_have_count(5)


@pytest.mark.usefixtures("comparer")
def test_two_rows_are_compared(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    visitor.go("/")
    button = page.get_by_role("button", name="Compare the ticked")
    expect(button).to_be_disabled()
    boxes = page.locator("table.board input")
    boxes.nth(0).check()
    expect(button).to_be_disabled()
    boxes.nth(4).check()
    button.click()
    page.wait_for_url("**/compare?first=*")
    expect(page.locator(".verdict-worse").first).to_be_visible()
    page.get_by_role("link", name="Swap").click()
    expect(page.locator(".verdict-better").first).to_be_visible()
    page.go_back()
    page.go_back()
    expect(button).to_be_enabled()  # the ticks are still there


def test_links_lead_from_the_board_to_an_evaluation_its_model_and_back(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    page.get_by_role("link", name="c3d/rotation", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("c3d/rotation")
    page.get_by_text("more", exact=False).first.click()
    page.get_by_role("link", name="vision / c3d/rotation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("c3d/rotation")
    page.get_by_role("link", name="playground under quick-v1").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("playground under quick-v1")
    page.get_by_role("link", name="model c3d/rotation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("c3d/rotation")
    page.go_back()
    page.get_by_role("link", name="random weights").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("random weights, r3d_tiny seed 0")


def fail_running(site: Site) -> None:
    with site.api.database.session() as session:
        row = session.get_one(Evaluation, site.running)
        row.state, row.reason, row.finished_at = (
            EvaluationState.FAILED,
            VcpbenchError("out of memory"),
            datetime.now(UTC),
        )


def test_a_running_evaluation_moves_and_ends_by_itself(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    visitor.go(f"/evaluations/{site.running}")
    expect(page.get_by_text("50.5 %")).to_be_visible()
    jobs = page.get_by_role("region", name="Jobs")
    jobs.focus()
    with site.api.database.session() as session:
        row = session.get_one(Evaluation, site.running)
        (job,) = [one for one in _jobs(session, row) if one.done == 50]
        job.done = 90
    expect(page.get_by_text("58.4 %")).to_be_visible()
    expect(jobs).to_be_focused()
    fail_running(site)
    expect(page.get_by_role("heading", name="The evaluation failed")).to_be_visible()
    expect(page.get_by_text("out of memory")).to_be_visible()


def test_the_badge_and_the_tab_of_a_page_that_was_opened_early_follow_the_evaluation(
    visitor: Visitor, site: Site
) -> None:
    with site.api.database.session() as session:
        session.get_one(Evaluation, site.running).state = EvaluationState.WAITING
    page = visitor.page
    visitor.go(f"/evaluations/{site.running}")
    badge = page.locator("h1 .state")
    expect(badge).to_have_text("waiting")
    for state in (EvaluationState.RUNNING, EvaluationState.SCORING):
        with site.api.database.session() as session:
            session.get_one(Evaluation, site.running).state = state
        expect(badge).to_have_text(state.value)
    before = page.title()
    fail_running(site)
    expect(badge).to_have_text("failed")
    expect(page).to_have_title(re.compile("^failed · "))
    assert re.match(r"\d+ % · ", before), before


def _jobs(session: Any, evaluation: Evaluation) -> list[Any]:
    from sqlalchemy import select

    from records.models import Job

    shards = [shard.id for shard in evaluation.shards]
    return list(session.scalars(select(Job).where(Job.shard_id.in_(shards))))


def test_the_keyboard_alone_gets_everywhere(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")

    def tab_to(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        for _ in range(80):
            page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                outline = wanted.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline == "solid", f"{name} has the focus, and nobody sees it"
                return
        raise AssertionError(f"{name} is out of reach")

    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to("link", "accuracy")
    page.keyboard.press("Enter")
    expect(page.locator("[aria-sort=descending]")).to_have_text("accuracy▾")
    tab_to("checkbox", "Compare r3d-vcp step 9000")
    page.keyboard.press("Space")
    tab_to("checkbox", "Compare collapsed")
    page.keyboard.press("Space")
    tab_to("button", "Compare the ticked")
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?first=*")


def test_the_lines_of_a_chart_are_shown_and_hidden_by_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/models/default/r3d-vcp")
    key = page.get_by_role("group", name="Lines shown").get_by_role("button", name="Cloze temporal")
    expect(key).to_have_attribute("aria-pressed", "false")
    before = page.locator(".chart.wide canvas").evaluate("canvas => canvas.toDataURL()")
    key.focus()
    page.keyboard.press("Space")
    expect(key).to_have_attribute("aria-pressed", "true")
    assert page.locator(".chart.wide canvas").evaluate("canvas => canvas.toDataURL()") != before
    page.keyboard.press("Enter")
    expect(key).to_have_attribute("aria-pressed", "false")


@pytest.mark.usefixtures("comparer")
def test_a_models_evaluations_of_one_board_are_compared(visitor: Visitor, site: Site) -> None:
    with site.api.database.session() as session:
        played.finished(session, ready_dataset(session, "later"), "r3d-vcp", seed=9, step=9000)
    page = visitor.page
    visitor.go("/models/default/r3d-vcp")
    page.get_by_label("Compare step 6000 on playground under quick-v1").check()
    expect(page.get_by_label("Compare step 9000 on later under quick-v1")).to_be_disabled()
    page.get_by_label("Compare step 9000 on playground under quick-v1").check()
    page.get_by_role("button", name="Compare the ticked").click()
    page.wait_for_url("**/compare?first=*")
    expect(page.locator(".verdict").first).to_be_visible()


def test_the_theme_is_chosen_and_stays(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/submit")

    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return int(colour.partition("(")[2].split(",")[0])

    assert brightness() > 200
    page.get_by_role("button", name="Dark").click()
    page.wait_for_url("**/submit")
    assert brightness() < 60
    visitor.go("/evaluations")
    assert brightness() < 60
    page.get_by_role("button", name="Light").click()
    page.wait_for_url("**/evaluations")
    assert brightness() > 200


def test_without_javascript_everything_but_live_updates_is_there(browser: Browser, site: Site) -> None:
    site.compare(site.best, site.second)
    visitor = visit(browser, site)
    cookies = visitor.context.cookies()
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(site.api.url)
    page.locator("table.board input").nth(0).check()
    page.locator("table.board input").nth(1).check()
    page.get_by_role("button", name="Compare the ticked").click()
    chart = page.get_by_role("img", name="Differences with their intervals").last
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 0
    expect(page.get_by_role("row", name="Cloze accuracy")).to_be_visible()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    context.close()
    visitor.context.close()


def test_a_printed_board_has_all_its_columns(visitor: Visitor) -> None:
    visitor.go("/")
    visitor.page.emulate_media(media="print", color_scheme="dark")
    expect(visitor.page.get_by_role("button", name="Show")).to_be_hidden()
    scroll = visitor.page.locator("[aria-label=Board].scroll")
    assert scroll.evaluate("element => getComputedStyle(element).overflow") == "visible"
    colour = visitor.page.evaluate("getComputedStyle(document.body).color")
    assert int(colour.partition("(")[2].split(",")[0]) < 60  # dark ink, whatever the theme
    assert visitor.page.pdf(landscape=True).startswith(b"%PDF")


def test_a_missing_browser_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"), chromium():
        pass
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"), chromium():
        pass
