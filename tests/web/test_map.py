"""The page of a map: what it shows, where its links lead, and that a browser finds nothing wrong with it."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.web import map as maps
from service.web import scatter
from service.web.map import Colour, Wanted
from tests import mapped
from tests.served import Served
from tests.service.kit import problem_of
from tests.web.browser import NARROW, WIDE, ZOOMED, Visitor, chromium
from tests.web.read import Page

DATASET = mapped.videos(120)
SVG = "{http://www.w3.org/2000/svg}"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def ids(api: Served) -> tuple[str, str]:
    """Two evaluations whose maps are drawn, alone and the second against the first."""
    with api.database.session() as session:
        row = mapped.registered(session, api.app.state.storage, DATASET)
        both = [
            str(mapped.evaluated(session, api.app.state.storage, DATASET, row, name, seed=seed).id)
            for seed, name in enumerate(("early", "late"))
        ]
    for query in ("", f"?against={both[0]}", f"?against={both[0]}"):
        api.client.get(f"/v1/evaluations/{both[1]}/map{query}")
        mapped.draw_waiting(api.database)
    return both[0], both[1]


def get(api: Served, path: str) -> httpx.Response:
    return api.client.get(path, headers={"Accept": "text/html"})


def page_of(api: Served, path: str) -> Page:
    answer = get(api, path)
    assert answer.status_code == 200, answer.text
    return Page.of(answer)


def numbers_of_points(picture: str) -> list[int]:
    """How many points each path of an SVG has."""
    return [path.count("M") for path in re.findall(r'<path [^>]*d="([^"]*)"', picture)]


def test_a_map_that_nobody_drew_yet_shows_why_it_waits_and_then_the_map(api: Served) -> None:
    with api.database.session() as session:
        row = mapped.registered(session, api.app.state.storage, DATASET)
        one = mapped.evaluated(session, api.app.state.storage, DATASET, row, "early").id
    path = f"/evaluations/{one}/map"
    assert "The map waits to be drawn: no worker takes the cpu queue" in page_of(api, path).text
    assert "HX-Refresh" not in get(api, f"{path}/progress").headers
    assert problem_of(api.client.get(f"/charts/map.svg?evaluation={one}"), 409)["detail"].endswith(f"{path}.")
    mapped.draw_waiting(api.database)
    assert get(api, f"{path}/progress").headers["HX-Refresh"] == "true"
    assert "120 test videos" in page_of(api, path).text


def test_a_map_has_every_video_and_the_list_has_those_of_a_square(api: Served, ids: tuple[str, str]) -> None:
    path = f"/evaluations/{ids[1]}/map"
    shown = mapped.invented(mapped.recognised(DATASET, 1))
    answer = get(api, path).text
    plot = answer[answer.index('<svg class="plot" ') :]
    plot = plot[: plot.index("</svg>")]
    right = sum(one is True for one in shown.right)
    assert sorted(numbers_of_points(plot)) == sorted([right, 120 - right])
    squares = re.findall(r'href="\?(cell=\d+)"[^>]*><rect[^>]*/><title>(\d+) video', plot)
    assert sum(int(number) for _, number in squares) == 120
    square, number = max(squares, key=lambda one: int(one[1]))
    found = page_of(api, f"{path}?{square}")
    assert f"{number} videos of the chosen square" in found.text
    assert found.text.count("answered") == min(int(number), maps.LIST)
    assert found.links("Videos of the whole map")


def test_the_list_shows_wrong_answers_and_answers_that_differ(api: Served, ids: tuple[str, str]) -> None:
    first, second = (mapped.invented(mapped.recognised(DATASET, seed)) for seed in (0, 1))
    wrong = [video for video, right in zip(second.videos, second.right, strict=True) if not right]
    differ = sum(one != other for one, other in zip(first.right, second.right, strict=True))
    path = f"/evaluations/{ids[1]}/map"
    found = page_of(api, f"{path}?show=wrong")
    assert f"{len(wrong)} videos: wrong answers" in found.text
    assert [video for video in wrong if video in found.text] == wrong[: maps.LIST]
    second_page = page_of(api, f"{path}?show=wrong&offset={maps.LIST}")
    assert [video for video in wrong if video in second_page.text] == wrong[maps.LIST : 2 * maps.LIST]
    assert (
        f"{differ} videos: answers that differ" in page_of(api, f"{path}?show=differ&against={ids[0]}").text
    )


def test_a_chosen_video_is_ringed_on_both_maps_and_told_in_words(api: Served, ids: tuple[str, str]) -> None:
    second = mapped.invented(mapped.recognised(DATASET, 1))
    number = second.right.index(False)
    video = second.videos[number]
    answer = get(api, f"/evaluations/{ids[1]}/map?against=early@latest&video={video}")
    assert len(re.findall(r'<circle class="ring" cx=', answer.text)) == 2
    part = get(api, f"/evaluations/{ids[1]}/map/video?video={video}").text
    for words in (
        video,
        DATASET.classes[second.labels[number]],
        DATASET.classes[second.answers[number] or 0],
    ):
        assert words in part
    assert "/v1/media/" in part
    assert get(api, f"/evaluations/{ids[1]}/map/video?video=none").status_code == 404


def test_classes_in_colour_are_those_asked_for_else_the_hardest() -> None:
    found = mapped.invented(mapped.recognised(mapped.videos(240, tuple("abcdefghij")), 0))
    wrong = {name: 0 for name in found.classes}
    for label, right in zip(found.labels, found.right, strict=True):
        wrong[found.classes[label]] += right is False
    hardest = maps.picks(found, Wanted(colour=Colour.CLASS))
    assert [wrong[name] for name in hardest] == sorted(wrong.values(), reverse=True)[: maps.MOST_PICKED]
    assert maps.picks(found, Wanted(colour=Colour.CLASS, pick=("c", "nonsense", "a"))) == ["c", "a"]
    drawn = maps.layers(found, Wanted(colour=Colour.CLASS, pick=("c", "a")))
    assert [(layer.name, len(layer.points)) for layer in drawn] == [
        ("all other classes", 192),
        ("c", 24),
        ("a", 24),
    ]


@pytest.mark.parametrize("colour", list(Colour), ids=lambda colour: colour.value)
def test_the_picture_alone_has_a_legend_and_all_points(
    api: Served, ids: tuple[str, str], colour: Colour
) -> None:
    answer = api.client.get(f"/charts/map.svg?evaluation={ids[1]}&against={ids[0]}&colour={colour.value}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    tree = ET.fromstring(answer.text)
    words = [element.text or "" for element in tree.iter(f"{SVG}text")]
    assert words[0].startswith("late: test videos")
    assert sum(int(re.findall(r"\((\d+)\)$", line)[0]) for line in words[1:]) == 120
    assert sum(numbers_of_points(answer.text)) >= 120  # a cross has two lines, and the legend has marks
    assert not set(re.findall(r'href|style="|<script', answer.text))


def test_names_of_users_are_escaped_in_pictures() -> None:
    layer = scatter.Layer(name="<b>&", place=0, points=[(0, 0)])
    assert "&lt;b&gt;&amp; (1)" in scatter.alone([layer], "<i>")
    cell = scatter.Cell(number=0, address='?a="b', words="<i>")
    assert "<i>" not in scatter.inside([layer], [cell])


def test_a_map_of_20000_videos_stays_small() -> None:
    dataset = mapped.videos(20_000, tuple(f"class {number}" for number in range(101)))
    found = mapped.invented(mapped.recognised(dataset, 0))
    for colour in Colour:
        picture = scatter.inside(maps.layers(found, Wanted(colour=colour)))
        assert len(picture.encode()) < 300_000  # docs/decisions/2026-11-30-map.md


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def visit(browser: Browser, api: Served, **options: Any) -> Visitor:
    context = browser.new_context(**options)
    # No worker of this test makes strips.
    context.route("**/v1/media/**", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
    visitor = Visitor(context, api.url)
    visitor.log_in(api.client.headers["Authorization"].removeprefix("Bearer "))
    return visitor


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", NARROW), ("light", ZOOMED)],
    ids=["light", "dark", "zoomed"],
)
def test_a_map_is_accessible_and_fits(
    browser: Browser, api: Served, ids: tuple[str, str], scheme: str, viewport: Any
) -> None:
    visitor = visit(browser, api, color_scheme=scheme, viewport=viewport)
    for query in ("", f"?colour=class&against={ids[0]}", "?colour=group&cell=44", "?show=wrong"):
        assert visitor.go(f"/evaluations/{ids[1]}/map{query}").status == 200
        for summary in visitor.page.locator("main summary").all():
            summary.click()
        assert visitor.violations() == [], query
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{query} is {width} wide"
    assert visitor.faults == []
    visitor.context.close()


def test_a_pointer_on_the_map_shows_the_nearest_video_with_its_strip(
    browser: Browser, api: Served, ids: tuple[str, str]
) -> None:
    visitor = visit(browser, api, viewport=WIDE)
    page = visitor.page
    visitor.go(f"/evaluations/{ids[1]}/map?against={ids[0]}")
    shown = api.client.get(f"/v1/evaluations/{ids[0]}/map").json()["map"]
    plot = page.locator(".map > .plot").first
    box = plot.bounding_box()
    assert box is not None
    scale = box["width"] / scatter.SIZE
    plot.hover(position={axis: scale * scatter.at(shown[axis][0]) for axis in ("x", "y")})  # type: ignore[arg-type]
    card = page.locator("#chosen")
    expect(card.locator("img")).to_have_attribute("src", re.compile("^/v1/media/"))
    expect(page.locator(".map .ring[cx]")).to_have_count(2)
    near = card.locator("b").first.inner_text()
    number = shown["videos"].index(near)
    assert abs(shown["x"][number] - shown["x"][0]) + abs(shown["y"][number] - shown["y"][0]) < 200
    assert visitor.faults == []
    visitor.context.close()


def test_the_list_is_reached_by_keyboard_and_rings_its_video(
    browser: Browser, api: Served, ids: tuple[str, str]
) -> None:
    visitor = visit(browser, api, viewport=WIDE)
    page = visitor.page
    visitor.go(f"/evaluations/{ids[1]}/map?show=wrong")
    link = page.locator(".map-list a").first
    for _ in range(30):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(page.locator(".map .ring[cx]")).to_have_count(1)
    video = link.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/map?*video=*#chosen")
    expect(page.locator("#chosen b").first).to_have_text(video)
    assert visitor.faults == []
    visitor.context.close()


def test_without_scripts_a_click_on_a_square_lists_its_videos(
    browser: Browser, api: Served, ids: tuple[str, str]
) -> None:
    logged_in = visit(browser, api)
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    context.add_cookies(logged_in.context.cookies())  # type: ignore[arg-type]
    context.route("**/v1/media/**", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
    page = context.new_page()
    page.goto(f"{api.url}/evaluations/{ids[1]}/map")
    page.locator(".map .plot a").first.click()
    page.wait_for_url("**/map?cell=*")
    expect(page.locator("#list h2")).to_contain_text("of the chosen square")
    context.close()
    logged_in.context.close()


def test_with_previews_off_the_map_says_who_switched_them_off_and_has_no_pictures(
    api: Served, ids: tuple[str, str]
) -> None:
    path = f"/evaluations/{ids[1]}/map"
    video = mapped.invented(mapped.recognised(DATASET, 1)).videos[0]
    assert "/v1/media/" in get(api, path).text
    api.client.patch(f"/v1/datasets/{DATASET.name}", json={"shows_media": False})
    assert f"an administrator switched previews of the dataset {DATASET.name} off" in page_of(api, path).text
    for address in (path, f"{path}?video={video}", f"{path}/video?video={video}"):
        answer = get(api, address)
        assert answer.status_code == 200
        assert "/v1/media/" not in answer.text


def test_the_strip_of_the_pointed_video_plays(browser: Browser, api: Served, ids: tuple[str, str]) -> None:
    visitor = visit(browser, api, viewport=WIDE)
    page = visitor.page
    visitor.go(f"/evaluations/{ids[1]}/map")
    box = page.locator(".map > .plot").bounding_box()
    assert box is not None
    shown = api.client.get(f"/v1/evaluations/{ids[1]}/map").json()["map"]
    scale = box["width"] / scatter.SIZE
    page.locator(".map > .plot").hover(
        position={axis: scale * scatter.at(shown[axis][0]) for axis in ("x", "y")}  # type: ignore[arg-type]
    )
    with page.expect_request(re.compile(r"/v1/media/.*\.webm$")):
        page.locator("#chosen").get_by_role("button", name="Play: ").click()
    visitor.context.close()
