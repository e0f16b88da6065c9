"""The board's page: the rows and numbers of the API, in the order and with the columns of its address."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from records.models import DatasetState
from records.repositories import leaderboard
from service.web.parameters import LeaderboardParameters
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.web import played
from tests.web.conftest import Site, supersede
from tests.web.read import Element, Page
from vcp_core.catalog.errors import VcpbenchError

BOARD = "/?dataset=playground&protocol=quick-v1"


def models(page: Page) -> list[str]:
    return [next(next(row.all("th")).all("a")).text for row in page.rows()]


def values(row: Element) -> list[str]:
    """Numbers of a row: scores as they are, options by their lift."""
    found = []
    for cell in row.all("td"):
        kinds = cell.attributes.get("class", "").split()
        if "value" in kinds:
            found.append(next(cell.all("b")).text)
        elif "heat" in kinds:
            found.append(next(cell.all("b")).text.replace("\N{MINUS SIGN}", "-"))
    return found


def shown(row: dict[str, Any], metric: str) -> str:
    """A number of the API as the page writes it."""
    score = row["scores"][metric]
    return f"{score['lift']:+z.0f}" if metric.startswith("cloze.recall.") else f"{score['value']:.1f}"


def test_it_shows_the_board_with_the_newest_result(site: Site) -> None:
    page = site.page("/")
    assert models(page) == ["r3d-vcp", "r3d-vcp", "c3d/rotation", "order", "collapsed"]
    assert "playground under quick-v1" in page.text
    with site.api.database.session() as session:
        other = ready_dataset(session, "later")
        played.finished(session, other, "new", seed=99, protocol="standard-v1")
    assert models(site.page("/")) == ["new"]
    assert models(site.page("/?dataset=playground"))[0] == "r3d-vcp"


def test_what_papers_report_stands_under_a_dataset_whatever_it_is_registered_under(site: Site) -> None:
    assert "Reported in papers" not in site.page("/").text
    with site.api.database.session() as session:
        other = ready_dataset(session, "ucf101-2", own_name="ucf101")
        played.finished(session, other, "new", seed=99)
        ready_dataset(session, "hmdb51-3", own_name="hmdb51")
    assert "Reported in papers" in site.page("/?dataset=ucf101-2").text
    assert "Reported in papers" in site.page("/?dataset=hmdb51-3").text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&sort=cloze.recall.remote&team=vision",
        "&sort=-step&limit=2&offset=1",
        "&metric=retrieval.map&metric=cloze.recall.adjacent&model=R3D",
        "&latest=true&sort=model",
        "&run=night-3&backbone=r3d_tiny",
    ],
)
def test_its_links_give_the_same_rows_and_numbers_as_json_and_csv(site: Site, query: str) -> None:
    page = site.page(BOARD + query)
    (json_link,), (csv_link,) = page.links("JSON"), page.links("CSV")
    found = site.api.client.get(json_link).json()
    lines = list(csv.DictReader(io.StringIO(site.api.client.get(csv_link).text)))
    metrics = parse_qs(urlsplit(json_link).query)["metric"]
    assert len(page.rows()) == len(found["rows"]) == len(lines) > 0
    for row, from_json, from_csv in zip(page.rows(), found["rows"], lines, strict=True):
        assert next(row.all("input")).attributes["value"] == from_json["evaluation"] == from_csv["evaluation"]
        assert values(row) == [shown(from_json, metric) for metric in metrics]
        assert all(
            from_csv[f"{metric}.value"] == repr(from_json["scores"][metric]["value"]) for metric in metrics
        )


def test_random_weights_and_chance_stand_apart(site: Site) -> None:
    page = site.page(BOARD)
    (apart,) = page.root.all("tbody", class_="apart")
    chance, control = apart.all("tr")
    assert values(chance)[:3] == ["12.5", "12.5", "20.0"]
    assert f"/evaluations/{site.control}" in [link.attributes["href"] for link in control.all("a")]
    assert "random weights" not in " ".join(models(page))


def test_rows_within_the_interval_of_the_first_share_its_place(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        for model, value in (("a", 70.0), ("b", 69.5), ("c", 69.0), ("d", 68.9), ("e", 60.0)):
            done(session, ready_checkpoint(session, model), dataset, {HEADLINE: value})  # intervals of 1
    for query, order in (("-recognition.top1", "abcde"), ("recognition.top1", "edcba")):
        page = Page.of(api.client.get(f"/?sort={query}", headers={"Accept": "text/html"}))
        places = {
            model: next(row.all("td", class_="num")).text
            for model, row in zip(models(page), page.rows(), strict=True)
        }
        assert "".join(places) == order
        assert places == {"a": "1=", "b": "1=", "c": "1=", "d": "4", "e": "5"}
        for row in api.client.get(page.links("JSON")[0]).json()["rows"]:
            assert places[row["model"]] == f"{row['rank']}{'=' if row['tied'] else ''}"
    page = Page.of(api.client.get("/?limit=1&offset=2", headers={"Accept": "text/html"}))
    assert next(page.rows()[0].all("td", class_="num")).text == "1="  # whatever page it is on


def test_the_board_of_videos_that_lost_their_name_stays_at_their_fingerprint(site: Site) -> None:
    old = supersede(site, 12000)
    new = site.page("/")
    assert models(new) == ["r3d-vcp"]
    assert new.links("earlier videos cdcdcdcd (5)") == [old]
    page = site.page(old)
    assert len(page.rows()) == 5
    assert "Superseded: these videos no longer have the name playground" in page.text
    assert page.links("earlier videos cdcdcdcd (5)") == []
    (chosen,) = [one.text for one in page.root.all("option") if one.attributes.get("value") == "cd" * 32]
    assert chosen == "playground, superseded"
    assert len(site.page(page.links("remote")[0]).rows()) == 5
    assert site.api.client.get(page.links("JSON")[0]).json()["total"] == 5
    assert "superseded" not in new.text.lower()
    only_old = site.page(f"/?dataset={'ab' * 32}", 404)
    assert "No dataset" in only_old.text


def test_a_metric_of_another_board_is_left_out_and_the_default_ones_come_in_its_place(site: Site) -> None:
    with site.api.database.session() as session:
        done(session, ready_checkpoint(session, "m"), ready_dataset(session), {"retrieval.map": 9.0})
        done(session, ready_checkpoint(session, "n"), ready_dataset(session, "ids"), {"identity.eer": 5.0})
    carried = "&metric=cloze.temporal&metric=identity.eer&sort=-cloze.temporal"
    page = site.page("/?dataset=gestures&protocol=quick-v1" + carried)
    assert values(page.rows()[0]) == ["9.0"]
    assert parse_qs(urlsplit(page.links("JSON")[0]).query)["sort"] == ["-retrieval.map"]
    assert site.api.client.get(page.links("JSON")[0]).status_code == 200
    here = site.page(BOARD + carried)
    assert parse_qs(urlsplit(here.links("JSON")[0]).query)["metric"] == ["cloze.temporal"]
    assert "No metric" in site.page(BOARD + "&metric=identity.err", 404).text


def test_every_number_has_its_interval_in_words(site: Site) -> None:
    page = site.page(BOARD + "&metric=recognition.top1&metric=cloze.recall.remote")
    (row, *_), (found, *_) = page.rows(), site.api.client.get(page.links("JSON")[0]).json()["rows"]
    value, heat = (cell for cell in row.all("td") if "title" in cell.attributes)
    score = found["scores"]["recognition.top1"]
    assert value.attributes["title"].startswith(
        f"95 % interval {score['low']:.1f} to {score['high']:.1f}; lift"
    )
    score = found["scores"]["cloze.recall.remote"]
    lift = f"{score['lift_low']:+z.1f} to {score['lift_high']:+z.1f}".replace("-", "\N{MINUS SIGN}")
    assert next(heat.all("small")).text == lift
    assert (
        f"recall {score['value']:.1f} [{score['low']:.1f}, {score['high']:.1f}]" in heat.attributes["title"]
    )


def test_the_intervals_of_the_options_are_shown_on_demand_and_no_business_of_the_api(site: Site) -> None:
    (address,) = site.page(BOARD).links("With their intervals")
    page = site.page(address)
    assert [table.attributes["class"] for table in page.root.all("table", **{"data-pick": ""})] == [
        "board spans"
    ]
    assert "intervals=true" in page.links("remote")[0]
    assert "intervals" not in page.links("JSON")[0]
    assert "intervals" not in page.links("Without intervals")[0]


def test_every_heading_sorts_and_turns_round(site: Site) -> None:
    page = site.page(BOARD + "&fact=step&fact=finished")
    for title, column in (
        ("Model", "model"),
        ("Step", "-step"),
        ("Finished", "-finished_at"),
        ("remote", "-cloze.recall.remote"),
    ):
        (link,) = page.links(title)
        assert parse_qs(urlsplit(link).query)["sort"] == [column]
        once = site.page(link)
        (back,) = once.links(title)
        assert LeaderboardParameters.sort not in back
        order = [row["model"] for row in site.api.client.get(once.links("JSON")[0]).json()["rows"]]
        assert models(once) == order
    headings = {cell.attributes.get("aria-sort") for cell in page.root.all("th")}
    assert headings == {None, "descending"}


def test_the_address_says_all_of_it_and_nothing_that_goes_without_saying(site: Site) -> None:
    given = LeaderboardParameters(
        dataset="playground",
        protocol="quick-v1",
        sort="-cloze.accuracy",
        metric=("cloze.accuracy", "retrieval.map"),
        fact=(),
        model="a&b=c/é",
        team="vision",
        latest=True,
        limit=500,
        offset=7,
    )
    query = parse_qs(urlsplit(given.address()).query, keep_blank_values=True)
    assert query == {
        "dataset": ["playground"], "protocol": ["quick-v1"], "sort": ["-cloze.accuracy"], "fact": [""],
        "metric": ["cloze.accuracy", "retrieval.map"], "model": ["a&b=c/é"], "team": ["vision"],
        "latest": ["true"], "limit": ["500"], "offset": ["7"],
    }  # fmt: skip
    assert LeaderboardParameters().address() == "/"
    page = site.page(given.address(model=None, offset=0))
    form = next(page.root.all("form", role="search"))
    kept = {
        (field.attributes["name"], field.attributes["value"])
        for field in form.all("input")
        if "checked" in field.attributes
    }
    assert kept == {("latest", "true"), ("metric", "cloze.accuracy"), ("metric", "retrieval.map")}
    assert {option.text for option in form.all("option") if "selected" in option.attributes} >= {
        "vision",
        "500",
    }


def test_pages_follow_each_other(site: Site) -> None:
    first = site.page(f"{BOARD}&limit=2")
    assert "1–2 of 5" in first.text
    second = site.page(first.links("Next")[0])
    assert "3–4 of 5" in second.text
    assert models(site.page(second.links("Previous")[0])) == models(first)
    assert "Nothing on this page" in site.page(f"{BOARD}&offset=90").text


def test_an_empty_installation_says_how_to_begin(api: Served) -> None:
    page = Page.of(api.client.get("/", headers={"Accept": "text/html"}))
    assert "vcpbench evaluates checkpoints of video networks" in page.text
    steps = [" ".join(step.text.split()) for step in next(page.root.all("ol")).all("h2")]
    assert steps == ["Try the demo", "Log in", "Upload a checkpoint"]
    assert f"vcpbench login {api.url}" in page.text
    assert "/submit" in page.links("Drop a file on the page Submit")


def test_an_empty_board_says_what_to_do_next(site: Site) -> None:
    assert "No row matches these filters" in site.page(f"{BOARD}&model=nothing").text
    page = site.page("/?dataset=playground&protocol=standard-v1")
    assert "No results on playground under standard-v1 yet" in page.text
    assert page.links("playground under quick-v1") == [BOARD]
    assert "No results on playground-64" in site.page("/?dataset=playground-64").text
    with site.api.database.session() as session:
        row = ready_dataset(session, "broken")
        row.state, row.reason, row.fingerprint = DatasetState.FAILED, VcpbenchError("no such folder"), None
    assert "no such folder" in site.page("/?dataset=broken").text


def test_an_unknown_name_is_a_readable_404_with_a_suggestion(site: Site) -> None:
    for query, suggestion in (
        ("/?dataset=playgrond", "Did you mean 'playground'?"),
        (f"{BOARD}&sort=-recognition.top11", "Did you mean 'recognition.top1'?"),
        (f"{BOARD}&metric=cloze.acuracy", "Did you mean 'cloze.accuracy'?"),
        ("/?protocol=quick-v2", "Did you mean 'quick-v1'?"),
    ):
        assert suggestion in site.page(query, 404).text
    assert "limit" in site.page("/?limit=501", 422).text


def test_a_board_without_a_benchmark_leaves_its_columns_out(api: Served) -> None:
    with api.database.session() as session:
        done(session, ready_checkpoint(session, "m"), ready_dataset(session), {"retrieval.map": 9.0})
    page = Page.of(api.client.get("/", headers={"Accept": "text/html"}))
    assert values(page.rows()[0]) == ["9.0"]
    assert api.client.get(page.links("JSON")[0]).status_code == 200


def test_a_lift_whose_interval_includes_zero_has_no_colour(site: Site) -> None:
    kinds = set()
    page = site.page(f"{BOARD}&metric=cloze.recall.remote")
    for row in page.rows():
        (cell,) = [cell for cell in row.all("td") if cell.attributes.get("class", "").startswith("heat")]
        evaluation = UUID(next(row.all("input")).attributes["value"])
        with site.api.database.session() as session:
            number = leaderboard.scores(session, [evaluation], ["cloze.recall.remote"])[evaluation]
        lift = number["cloze.recall.remote"]
        assert lift.lift is not None
        assert lift.lift_low is not None
        assert lift.lift_high is not None
        kind = cell.attributes["class"].removeprefix("heat ").rstrip("12345")
        assert kind == (
            "unsure" if lift.lift_low <= 0 <= lift.lift_high else "up" if lift.lift > 0 else "down"
        )
        kinds.add(kind)
    assert kinds >= {"unsure", "up"}
