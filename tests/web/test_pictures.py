"""Charts and badges as SVG: the same numbers as on the pages, and nothing of a user's runs in them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from service.web import svg
from tests.served import Served
from tests.service.kit import PROBLEM
from tests.web.conftest import Site

pytestmark = pytest.mark.slow
SVG = "{http://www.w3.org/2000/svg}"


def words(site: Site, path: str) -> list[str]:
    """What a picture says."""
    return drawn(site.api, path)


def drawn(api: Served, path: str) -> list[str]:
    """The same, without a site."""
    answer = api.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml"), answer.text
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    tree = ET.fromstring(answer.text)
    allowed = {"svg", "title", "rect", "g", "text", "line", "circle", "polyline"}
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= allowed
    return [element.text or "" for element in tree.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/evaluations/{best}", "this checkpoint"),
        ("/models/default/r3d-vcp", "training step"),
        ("/compare?first={second}&second={best}", "equal"),
    ],
    ids=["evaluation", "model", "comparison"],
)
def test_each_chart_of_a_page_has_an_address_and_is_shown_without_javascript(
    site: Site, path: str, says: str
) -> None:
    page = site.page(path.format(best=site.best, second=site.second))
    charts = list(page.root.all("div", role="img"))
    images = [next(chart.all("img")) for chart in charts]
    assert charts
    for chart, image in zip(charts, images, strict=True):
        said = words(site, image.attributes["src"])
        data = json.loads(chart.attributes["data-chart"])
        assert {one["name"] for one in data["series"] if len(data["series"]) > 1} - set(
            data.get("off", ())
        ) <= set(said)
        assert set(data.get("names", ())) <= set(said)
        assert image.attributes["alt"]
    assert any(says in words(site, image.attributes["src"]) for image in images)


def test_a_badge_says_a_score_with_its_interval_and_the_newest_by_name(site: Site) -> None:
    scores = site.api.client.get(f"/v1/evaluations/{site.best}").json()["scores"]
    top1 = next(score for score in scores if score["metric"] == "recognition.top1")
    expected = [
        "Recognition top-1",
        f"{top1['value']:.1f} % [{top1['low']:.1f}, {top1['high']:.1f}]",
    ]
    assert words(site, f"/badge.svg?evaluation={site.best}") == expected
    assert words(site, "/badge.svg?evaluation=r3d-vcp@latest&metric=retrieval.top1")[0] == "Retrieval top-1"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/badge.svg?evaluation={best}&metric=recognition.top2", 404, "Did you mean"),
        ("/badge.svg?evaluation={running}", 409, "it has no scores"),
        ("/charts/profile.svg?evaluation={failed}", 409, "it has no scores"),
        ("/charts/course.svg?model=default/collapsed", 404, "no two evaluations of different steps"),
        ("/charts/course.svg?model=default/unknown", 404, "No model"),
        ("/badge.svg?evaluation=ffff", 404, "No evaluation"),
    ],
    ids=["metric", "running", "failed", "one step", "no model", "no evaluation"],
)
def test_what_cannot_be_drawn_says_why(site: Site, path: str, status: int, says: str) -> None:
    ids = {"best": site.best, "running": site.running, "failed": site.failed}
    answer = site.api.client.get(path.format(**ids))
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert says in answer.json()["detail"]


def test_names_of_users_are_escaped() -> None:
    hostile = "</text><script>alert(1)</script>"
    data = {
        "kind": "lines",
        "x": hostile,
        "off": [],
        "series": [{"name": hostile, "points": [[1, 10.0, 20.0, 30.0], [2, 20.0, 30.0, 40.0]]}],
    }
    for text in (svg.chart(data, hostile), svg.badge(hostile, hostile)):
        tree = ET.fromstring(text)
        assert not list(tree.iter(f"{SVG}script"))
        assert hostile in {element.text for element in tree.iter()}


def test_a_course_of_one_step_and_values_at_both_ends_stay_inside_the_picture() -> None:
    data = {
        "kind": "lines",
        "x": "training step",
        "off": [],
        "series": [{"name": "a", "points": [[7, 0.0, 100.0, 100.0]]}],
    }
    tree = ET.fromstring(svg.chart(data, "one"))
    width, height = (float(tree.attrib[side]) for side in ("width", "height"))
    for circle in tree.iter(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
