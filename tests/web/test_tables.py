"""Tables in Chromium: the columns that matter are seen first, and a table that goes on shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from records.repositories import datasets
from tests.web import played
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from tests.web.conftest import Site
from tests.web.test_browser import visit


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def narrow(browser: Browser, site: Site) -> Iterator[Visitor]:
    found = visit(browser, site, viewport=NARROW)
    yield found
    found.context.close()
    assert found.faults == []


def right_end(cell: Locator) -> float:
    """Where a cell ends, in pixels from the left edge of the window."""
    box = cell.bounding_box()
    assert box is not None
    return box["x"] + box["width"]


def fades(table: Locator, scrolled: float = 0) -> dict[str, Any]:
    """The fades of a region at both edges, after it has scrolled this share of its way."""
    found: dict[str, Any] = table.evaluate(
        """async (element, share) => {
          element.scrollLeft = share * (element.scrollWidth - element.clientWidth);
          for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
          const style = getComputedStyle(element);
          return {left: style.getPropertyValue("--left-edge"), right: style.getPropertyValue("--right-edge")};
        }""",
        scrolled,
    )
    return found


def test_a_narrow_window_shows_the_columns_that_matter_of_each_table(narrow: Visitor, site: Site) -> None:
    page = narrow.page
    for path, columns in (
        ("/", ("accuracy",)),
        ("/evaluations", ("State",)),
        (f"/compare?first={site.second}&second={site.best}", ("Difference", "Verdict")),
    ):
        narrow.go(path)
        for name in columns:
            heading = page.get_by_role("columnheader", name=name, exact=True).first
            expect(heading).to_be_visible()
            assert right_end(heading) <= NARROW["width"], f"{name} of {path} is out of sight"


def test_a_table_fades_at_the_edges_behind_which_columns_hide(narrow: Visitor) -> None:
    narrow.go("/evaluations")
    table = narrow.page.get_by_role("region", name="Evaluations")
    assert fades(table) == {"left": "0px", "right": "28px"}
    assert fades(table, 0.5) == {"left": "28px", "right": "28px"}
    assert fades(table, 1) == {"left": "28px", "right": "0px"}
    narrow.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    assert fades(table) == {"left": "0px", "right": "0px"}, "a table that fits has no fade"


@pytest.mark.parametrize("query", ["", "?intervals=true"], ids=["lifts", "intervals"])
def test_no_column_of_a_board_with_long_names_is_cut_in_a_wide_window(
    browser: Browser, site: Site, query: str
) -> None:
    with site.api.database.session() as session:
        dataset = datasets.named(session, "playground")
        assert dataset is not None
        long = "kinetics-pretraining/r2plus1d-cloze-rotation"
        played.finished(
            session, dataset, long, seed=7, skill=0.7, step=123_456, team="representation-learning"
        )
    visitor = visit(browser, site, viewport=WIDE)
    visitor.go(f"/{query}")
    board = visitor.page.get_by_role("region", name="Board")
    assert board.evaluate("element => element.scrollWidth <= element.clientWidth")
    visitor.context.close()


def test_a_comparison_says_whose_scores_stand_where_and_what_a_verdict_means(
    narrow: Visitor, site: Site
) -> None:
    narrow.go(f"/compare?first={site.second}&second={site.best}")
    page = narrow.page
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "r3d-vcp at step 9000 compared with r3d-vcp at step 6000"
    )
    headings = page.get_by_role("region", name="Differences").first.get_by_role("columnheader")
    models = ["r3d-vcp at step 9000", "r3d-vcp at step 6000"]
    expect(headings).to_have_text(
        ["Metric", "Difference", "Verdict", "95 % interval", *models, "p", "Found in 80 %"]
    )
    expect(page.locator("main .verdict")).to_contain_text("r3d-vcp at step 9000 is better in")
    expect(page.locator("main dl.facts")).to_contain_text("r3d-vcp at step 9000 minus r3d-vcp at step 6000")
    expect(page.locator("main dl.facts")).to_contain_text("It does not mean that they are equal.")
