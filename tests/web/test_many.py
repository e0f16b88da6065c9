"""The page of many evaluations: against a baseline, as small multiples, and in all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from service.web.figures import signed
from tests.served import Served
from tests.service.finished import compare_waiting, ready_dataset
from tests.web import played
from tests.web.browser import NARROW, WIDE, ZOOMED, Visitor, chromium
from tests.web.read import Page

HTML = {"Accept": "text/html"}
SKILLS = (0.1, 0.3, 0.32, 0.6, 0.8)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def course(api: Served) -> list[str]:
    """Five steps of one run."""
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        return [
            str(
                played.finished(
                    session, dataset, "r3d-vcp", seed=20 + n, skill=skill, step=1000 * n, run="night-3"
                ).id
            )
            for n, skill in enumerate(SKILLS)
        ]


def address(evaluations: list[str], path: str = "/compare", **more: str) -> str:
    return f"{path}?{urlencode([*(('evaluation', one) for one in evaluations), *more.items()])}"


def made(api: Served, path: str, status: int = 200) -> Page:
    """A page once its comparison is made."""
    assert api.client.get(path, headers=HTML).status_code == status
    compare_waiting(api.database)
    answer = api.client.get(path, headers=HTML)
    assert answer.status_code == status, answer.text
    return Page.of(answer)


def tables(page: Page) -> dict[str, list[list[str]]]:
    """Cells of every table, by the label of its region."""
    return {
        region.attributes["aria-label"]: [
            [" ".join(cell.text.split()) for cell in row.children if cell.name in ("td", "th")]
            for row in region.all("tr")
        ]
        for region in page.root.all("div", role="region")
    }


def test_the_page_has_the_numbers_of_the_api(api: Served, course: list[str]) -> None:
    page = made(api, address(course, baseline=course[1], equal="true", every="true"))
    found = api.client.get(page.links("JSON")[0]).json()
    others = sorted(found["with_baseline"], key=lambda one: course.index(one["evaluation"]))
    wanted = [one for other in others for one in other["differences"]]
    _, *lines = tables(page)["Differences from the baseline"]
    assert len(lines) == len(wanted)
    for line, one in zip(lines, wanted, strict=True):
        assert line[3] == signed(one["difference"], one["unit"])
        if one["p_adjusted"] >= 0.001:
            assert line[9] == f"{one['p_adjusted']:.3f}"
    pairs = {(p["second"], p["first"]): p for p in found["matrices"][0]["pairs"]}
    _, *rows = tables(page)["All pairs"]
    for row, cells in zip(course, rows, strict=True):
        for column, text in zip(course, cells[1:], strict=True):
            if (row, column) in pairs:
                assert text == signed(pairs[row, column]["difference"])
    assert [cells[place + 1] for place, cells in enumerate(rows)] == [""] * 5


def test_only_what_differs_is_shown_until_the_switch_asks_for_more(api: Served, course: list[str]) -> None:
    page = made(api, address(course, baseline=course[1]))
    _, *lines = tables(page)["Differences from the baseline"]
    assert {line[4] for line in lines} == {"better", "worse"}
    assert {line[0] for line in lines} == {"1", "4", "5"}  # 2 is the baseline, and 3 does not differ from it
    (more,) = page.links("Show them, too")
    wider = Page.of(api.client.get(more, headers=HTML))
    _, *all_lines = tables(wider)["Differences from the baseline"]
    assert len(all_lines) > len(lines)
    assert {line[0] for line in all_lines} == {"1", "3", "4", "5"}
    assert "cannot tell" in {line[4] for line in all_lines}
    facts = tables(page)["Overview"][0]
    assert "Step" in facts
    assert "Run" not in facts, "all have the same"


def test_a_run_that_stood_still_says_that_nothing_differs(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        same = [
            str(played.finished(session, dataset, "r3d-vcp", seed=7, skill=0.5, step=n).id) for n in range(3)
        ]
    page = made(api, address(same))
    assert "No evaluation differs from the baseline" in page.text
    assert "0 of 3 pairs differ" in page.text


def test_the_address_holds_the_view(api: Served, course: list[str]) -> None:
    path = address(course, baseline=course[4], metric="retrieval.top1", equal="true")
    page = made(api, path)
    assert "All pairs: Retrieval top-1" in page.text
    (select,) = page.root.all("select", name_="baseline")
    chosen = [one.attributes["value"] for one in select.all("option") if "selected" in one.attributes]
    assert chosen == [course[4]]
    tab = page.links("Recognition top-1")[0]
    assert f"baseline={course[4]}" in tab
    assert "equal=true" in tab


def test_a_profile_is_drawn_for_each_and_says_its_numbers(api: Served, course: list[str]) -> None:
    page = made(api, address(course))
    drawn = [one for one in page.root.all("svg") if one.attributes.get("class") == "multiple"]
    assert len(drawn) == 5
    assert "baseline" not in drawn[0].attributes["aria-label"]
    assert all("rotation" in one.attributes["aria-label"] for one in drawn)
    assert "better" in drawn[4].attributes["aria-label"]


def test_who_waits_sees_the_progress_and_then_the_page(api: Served, course: list[str]) -> None:
    path = address(course)
    page = Page.of(api.client.get(path, headers=HTML))
    assert "no worker takes the cpu" in page.text
    part = address(course, "/compare/many/progress")
    assert "HX-Refresh" not in api.client.get(part).headers
    compare_waiting(api.database)
    assert api.client.get(part).headers["HX-Refresh"] == "true"


def test_two_with_a_baseline_stand_on_the_page_of_many(api: Served, course: list[str]) -> None:
    page = made(api, address(course[:2], baseline=course[0]))
    assert "Of 1 evaluation against the baseline:" in page.text
    assert api.client.get(address(course[:2]), headers=HTML).status_code == 303


def test_what_cannot_be_compared_is_said_on_a_page(api: Served, course: list[str]) -> None:
    with api.database.session() as session:
        other = played.finished(session, ready_dataset(session, "later"), "r3d-vcp", seed=9, step=9000)
        wrong = str(other.id)
    page = Page.of(api.client.get(address([*course, wrong]), headers=HTML))
    assert f"Evaluation {wrong} does not fit: its dataset is" in page.text
    many = Page.of(api.client.get(address([course[0]] * 51), headers=HTML))
    assert "A comparison takes 2 to 50 of them" in many.text


def visit(browser: Browser, api: Served, **options: Any) -> Visitor:
    visitor = Visitor(browser.new_context(**options), api.url)
    visitor.log_in(api.client.headers["Authorization"].removeprefix("Bearer "))
    return visitor


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", ZOOMED)],
    ids=["light", "dark", "zoomed"],
)
def test_the_page_is_accessible_and_fits(
    browser: Browser, api: Served, course: list[str], scheme: str, viewport: Any
) -> None:
    made(api, address(course, baseline=course[1]))
    visitor = visit(browser, api, viewport=viewport, color_scheme=scheme)
    for more in ({}, {"equal": "true", "every": "true"}):
        visitor.go(address(course, baseline=course[1], **more))
        for summary in visitor.page.locator("main details:not([open]) summary").all():
            summary.click()
        assert visitor.violations() == []
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        box = visitor.page.locator(".overview tbody td.heat").first.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= viewport["width"]  # the first number is seen without scrolling
    assert visitor.faults == []
    visitor.context.close()


def test_ticked_rows_of_the_board_become_the_page_also_without_scripts(
    browser: Browser, api: Served, course: list[str]
) -> None:
    visitor = visit(browser, api, viewport=WIDE)
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    context.add_cookies(visitor.context.cookies())  # type: ignore[arg-type]
    for page in (visitor.page, context.new_page()):
        page.goto(api.url)
        for place in range(3):
            page.locator("table.board input").nth(place).check()
        page.get_by_role("button", name="Compare the ticked").click()
        page.wait_for_url("**/compare?*")
        compare_waiting(api.database)
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_contain_text("3 evaluations against")
        page.locator("select[name=baseline]").select_option(index=2)
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**baseline=*")
        compare_waiting(api.database)
        page.reload()
        expect(page.get_by_role("heading", name="Profiles")).to_be_visible()
    assert visitor.faults == []
    context.close()
    visitor.context.close()
