"""A model's page over its training: order, courses of one run and of several, files that are the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from records.models import Checkpoint, CheckpointState, Evaluation
from tests.served import Served
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import problem_of
from tests.web import played
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from tests.web.read import Page
from tests.web.test_pictures import drawn

pytestmark = pytest.mark.slow
HTML = {"Accept": "text/html"}
MODEL = "/models/default/r3d-vcp"
SKILLS = {"day": (0.2, 0.35), "night": (0.1, 0.3, 0.6), None: (0.5,)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def runs(api: Served) -> Served:
    """Three runs of one model, the last step first. A reader sees them in this order if nobody sorts them."""
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        for run, skills in SKILLS.items():
            for number, skill in reversed(list(enumerate(skills))):
                _finished(session, dataset, run, 1000 * (number + 1), skill)
        _finished(session, dataset, None, None, 0.4)
    return api


def _finished(session: Session, dataset: Any, run: str | None, step: int | None, skill: float) -> Evaluation:
    return played.finished(
        session, dataset, "r3d-vcp", seed=int(100 * skill), skill=skill, run=run, step=step
    )


def page(api: Served, path: str = MODEL) -> Page:
    answer = api.client.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return Page.of(answer)


def charts(found: Page) -> list[dict[str, Any]]:
    every = [json.loads(one.attributes["data-chart"]) for one in found.root.all("div", role="img")]
    return [chart for chart in every if chart["kind"] == "lines"]


def rows(found: Page, label: str) -> list[list[str]]:
    (region,) = found.root.all("div", role="region", **{"aria-label": label})
    return [
        [" ".join(cell.text.split()) for cell in row.children if cell.name in ("td", "th")]
        for row in region.all("tr")
    ][1:]


def test_evaluations_and_checkpoints_stand_by_run_and_step(runs: Served) -> None:
    found = page(runs)
    expected = [
        ("1000", ""), ("–", ""), ("1000", "day"), ("2000", "day"),
        ("1000", "night"), ("2000", "night"), ("3000", "night"),
    ]  # fmt: skip
    assert [(one[1], one[2]) for one in rows(found, "Evaluations")] == expected
    assert [(one[0], one[1]) for one in rows(found, "Checkpoints")] == expected


def test_of_one_step_the_newest_evaluation_stands_first_and_is_the_one_in_the_chart(runs: Served) -> None:
    with runs.database.session() as session:
        dataset = ready_dataset(session, "playground-136", "cd" * 32)
        older = page_evaluation(session, "night", 3000)
        newer = played.finished(session, dataset, "r3d-vcp", seed=90, skill=0.9, checkpoint=older.checkpoint)
        newer.created_at = older.created_at + timedelta(hours=1)
        ids = [str(newer.id), str(older.id)]
    found = page(runs)
    (region,) = found.root.all("div", role="region", **{"aria-label": "Evaluations"})
    ticks = [one.attributes["value"] for one in region.all("input", name_="evaluation")]
    assert [one for one in ticks if one in ids] == ids
    night = next(one for one in charts(found)[1]["series"] if one["name"] == "night")
    assert [point[0] for point in night["points"]] == [1000, 2000, 3000]


def page_evaluation(session: Session, run: str, step: int) -> Evaluation:
    found = select(Evaluation).join(Checkpoint, Evaluation.checkpoint_id == Checkpoint.id)
    return session.scalars(found.where(Checkpoint.run == run, Checkpoint.step == step)).unique().one()


def test_the_course_shows_chance_and_random_weights_as_lines_with_labels(runs: Served) -> None:
    course = charts(page(runs))[0]
    for line in course["series"]:
        chance, control = line["references"]
        assert chance["name"] == f"chance {chance['points'][-1][1]:.1f}"
        assert control["name"] == f"random {control['points'][-1][1]:.1f}"
    said = drawn(runs, "/charts/course.svg?model=default/r3d-vcp")
    shown = [one for one in course["series"] if one["name"] not in course["off"]]
    assert {one["name"] for line in shown for one in line["references"]} <= set(said)


def test_the_runs_of_a_board_stand_side_by_side_in_a_metric_that_a_reader_chooses(runs: Served) -> None:
    found = page(runs)
    (tab,) = {one for one in found.links("Cloze accuracy") if "#runs" in one}
    assert tab == f"{MODEL}?course=0&metric=cloze.accuracy#runs"
    for metric in ("recognition.top1", "cloze.accuracy"):
        chart = charts(page(runs, f"{MODEL}?metric={metric}"))[1]
        assert sorted(one["name"] for one in chart["series"]) == ["day", "night", "without a run"]
        scores = runs.client.get("/v1/evaluations?limit=50").json()["items"]
        for line in chart["series"]:
            for step, low, value, high in line["points"]:
                (one,) = (
                    score
                    for item in scores
                    if (item["checkpoint"]["run"] or "without a run", item["checkpoint"]["step"])
                    == (line["name"], step)
                    for score in runs.client.get(f"/v1/evaluations/{item['id']}").json()["scores"]
                    if score["metric"] == metric
                )
                assert (low, value, high) == (one["low"], one["value"], one["high"])
        said = drawn(runs, f"/charts/runs.svg?model=default/r3d-vcp&metric={metric}")
        assert {"day", "night", "without a run"} <= set(said)
    refused = runs.client.get("/charts/runs.svg?model=default/r3d-vcp&metric=cloze.acuracy")
    assert "Did you mean 'cloze.accuracy'" in problem_of(refused, 404)["detail"]


def test_one_run_alone_has_no_picture_of_several(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        for step in (1000, 2000):
            _finished(session, dataset, "night", step, 0.3)
    assert "Runs side by side" not in page(api).text
    problem_of(api.client.get("/charts/runs.svg?model=default/r3d-vcp"), 404)


def test_files_that_are_the_same_are_named_with_a_link_if_the_reader_may_see_them(api: Served) -> None:
    with api.database.session() as session:
        mine = ready_checkpoint(session, "r3d-vcp", run="night", step=1)
        later = ready_checkpoint(session, "r3d-vcp", run="night", step=2)
        prefixed = ready_checkpoint(session, "r3d-vcp", run="night", step=1, prefix="teacher.")
        other = ready_checkpoint(session, "a b/c", team="vision", step=7)
        hidden = ready_checkpoint(session, "hidden", team="vision", state=CheckpointState.REJECTED)
        alone = ready_checkpoint(session, "alone")
        for one in (later, prefixed, other, hidden):
            one.sha256 = mine.sha256
        ids = {"mine": mine.id, "later": later.id, "other": other.id, "alone": alone.id}
    found = page(api)
    assert set(found.links("this model at step 2, run night")) == {f"#checkpoint-{ids['later']}"}
    there = f"/models/vision/a%20b/c#checkpoint-{ids['other']}"
    assert set(found.links("vision/a b/c at step 7")) == {there}
    assert "hidden" not in found.text
    assert "this model at step 1, run night" in rows(found, "Checkpoints")[2][6]
    assert "default/r3d-vcp" in page(api, there).text
    assert "Same weights as" not in page(api, "/models/default/alone").text


def upload(api: Served, content: str, run: str | None = "night") -> None:
    params = {"model": "r3d-vcp"} | ({} if run is None else {"run": run})
    assert api.client.put("/v1/logs", params=params, content=content).status_code == 201


def test_a_training_log_stands_below_the_course_of_its_run_over_the_same_steps(runs: Served) -> None:
    assert "vcpbench log upload log.csv --model default/r3d-vcp --run night" in page(runs).text
    upload(runs, "step,loss,accuracy\n500,2,10\n1500,1.5,\n4000,1,40\n")
    course, log, _ = charts(page(runs))
    assert [(one["from"], one["to"]) for one in (course, log)] == [(500, 4000)] * 2
    assert [one["name"] for one in log["series"]] == ["loss", "accuracy"]
    assert log["off"] == ["accuracy"]
    assert log["series"][0]["points"] == [
        [500, None, 2, None],
        [1500, None, 1.5, None],
        [4000, None, 1, None],
    ]
    assert log["series"][1]["points"] == [[500, None, 10, None], [4000, None, 40, None]]
    said = drawn(runs, "/charts/log.svg?model=default/r3d-vcp")
    assert "loss" in said
    assert "accuracy" not in said
    assert "Training log, run day" not in page(runs, f"{MODEL}?course=1").text
    refused = runs.client.get("/charts/log.svg?model=default/r3d-vcp&course=1")
    assert "no training log for run day" in problem_of(refused, 404)["detail"]


def test_a_long_log_is_averaged_and_the_page_says_so(runs: Served) -> None:
    rows = "".join(f"{step},{step % 2}\n" for step in range(1000))
    upload(runs, f"step,error\n{rows}")
    found = page(runs)
    assert "Each point is the mean of up to 3 rows" in found.text
    (line,) = charts(found)[1]["series"]
    assert len(line["points"]) == 334
    assert line["points"][0] == [1, None, pytest.approx(1 / 3), None]


@pytest.mark.parametrize(
    "values",
    [("0", "0"), ("1e100", "-1e100"), ("1e-300", "2e-300"), ("1e-99", "2e-99"), ("1", "1.0000000000000002")],
    ids=["zero", "large", "tiny", "small", "close"],
)
def test_any_numbers_are_drawn(runs: Served, values: tuple[str, str]) -> None:
    upload(runs, f"step,loss\n1,{values[0]}\n9007199254740991,{values[1]}\n")
    assert charts(page(runs))[1]["series"][0]["name"] == "loss"
    assert "loss" in drawn(runs, "/charts/log.svg?model=default/r3d-vcp")


def test_a_log_of_a_model_without_results_is_shown_alone(api: Served) -> None:
    with api.database.session() as session:
        ready_checkpoint(session, "r3d-vcp", run="night", step=1)
    upload(api, "step,loss\n1,2\n")
    (log,) = charts(page(api))
    assert log["series"][0]["points"] == [[1, None, 2, None]]
    assert "loss" in drawn(api, "/charts/log.svg?model=default/r3d-vcp")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_its_charts_are_drawn(
    browser: Browser, runs: Served, scheme: Any, viewport: Any
) -> None:
    rows = [f"{step},{2 - step / 3000 + 0.1 * (step % 7)},{step / 80}\n" for step in range(40, 3200, 40)]
    upload(runs, f"step,loss,accuracy\n{''.join(rows)}")
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    visitor = Visitor(context, runs.url)
    visitor.log_in(str(runs.client.headers["Authorization"]).removeprefix("Bearer "))
    visitor.go(f"{MODEL}?metric=cloze.accuracy")
    assert visitor.violations() == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for name, pressed in (("night", "false"), ("accuracy", "true"), ("Cloze spatial", "true")):
        key = visitor.page.locator("button.key", has_text=re.compile(f"^{name}$"))
        key.focus()
        visitor.page.keyboard.press("Enter")
        expect(key).to_have_attribute("aria-pressed", pressed)
    visitor.page.locator(".chart.low").hover()
    assert visitor.faults == []
    context.close()
