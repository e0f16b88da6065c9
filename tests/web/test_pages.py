"""Every page in every state: what it says, that nothing of a user's runs in it, and who may see it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, select

from records.models import (
    BenchmarkRow,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
)
from records.repositories import jobs
from records.settings import Settings
from service.auth import COOKIE
from service.web import pages
from tests.served import Served, open_http, serve
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import PROBLEM
from tests.service.measured import counted_dataset, ran
from tests.web import played
from tests.web.conftest import LOG, REASON, Site, supersede
from tests.web.read import Page
from vcp_core.catalog.errors import UndecodableVideo, VcpbenchError
from vcp_core.progress import duration_range

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOSTILE = """<script>alert(1)</script>"' onload='x' {{7*7}} -->"""


@pytest.fixture
def browser(api: Served) -> Iterator[httpx.Client]:
    """A browser that nobody has logged in."""
    with open_http(api.url, headers=HTML) as client:
        yield client


def secret(api: Served) -> str:
    return str(api.client.headers["Authorization"].removeprefix("Bearer "))


def test_a_finished_evaluation_shows_all_that_it_gave(site: Site) -> None:
    page = site.page(f"/evaluations/{site.best}")
    results = site.api.client.get(f"/v1/evaluations/{site.best}/results").json()
    scores = {score["metric"]: score for one in results["benchmarks"] for score in one["scores"]}
    for metric in ("recognition.top1", "cloze.spatial", "retrieval.map"):
        assert (
            f"{scores[metric]['value']:.1f} {scores[metric]['low']:.1f}–{scores[metric]['high']:.1f}"
            in page.text
        )
    diagnosis = site.api.client.get(f"/v1/evaluations/{site.best}").json()["diagnosis"]
    assert len(diagnosis) >= 4
    assert all(sentence in page.text for sentence in diagnosis)
    (kinds,) = page.root.all("div", **{"aria-label": "Kinds of variant"})
    assert all(kind in kinds.text for kind in ("270", "3-tiles", "16-31", "2-apart"))
    assert "3 of 123 test videos are too short" in page.text
    assert "vcpbench local FILE --dataset playground --protocol quick-v1 --backbone r3d_tiny" in page.text
    assert results["provenance"]["protocol_hash"] in page.text
    assert "batch clips 8, network threads 2; 4" in page.text
    matrix = next(page.root.all("table", class_="matrix"))
    (table,) = (t for t in results["benchmarks"][0]["tables"] if t["name"] == "cloze.confusion")
    shown = [[int(cell.text) for cell in row.all("td")] for row in list(matrix.all("tr"))[1:]]
    assert shown == table["values"]
    (chart,) = (json.loads(one.attributes["data-chart"]) for one in page.root.all("div", role="img"))
    assert chart["names"] == table["rows"]
    assert chart["series"][0]["points"][1][1] == scores["cloze.recall.rotation"]["value"]
    for address in page.links("All results as JSON") + page.links("Scores as JSON"):
        assert site.api.client.get(address).status_code == 200


def test_what_it_was_trained_on_may_be_declared_later_and_a_leak_is_told_all_the_same(site: Site) -> None:
    path = f"/evaluations/{site.best}"
    assert "its scores are not those of unseen videos" not in site.page(path).text
    before = site.api.client.get(f"/v1{path}").json()["warnings"]
    with site.api.database.session() as session:
        session.get_one(Evaluation, site.best).checkpoint.pretrained_on = "playground:2, kinetics400"
    page = site.page(path)
    assert "playground:2, kinetics400" in page.text
    (leak,) = set(site.api.client.get(f"/v1{path}").json()["warnings"]) - set(before)
    assert leak.endswith("its scores are not those of unseen videos")
    assert leak in page.text
    results = site.api.client.get(f"/v1{path}/results").json()
    assert leak in results["warnings"]
    assert results["provenance"]["pretrained_on"] == "playground:2, kinetics400"
    assert results["provenance"]["reproduce"].endswith(" --pretrained-on 'playground:2, kinetics400'")


def test_videos_under_another_name_are_called_by_their_own_too(site: Site) -> None:
    with site.api.database.session() as session:
        row = session.get_one(Evaluation, site.best)
        assert row.results is not None
        provenance = row.results["provenance"]
        videos = {**provenance["dataset"], "name": "ucf101-2", "own_name": "ucf101", "split": "2"}
        row.results = {**row.results, "provenance": {**provenance, "dataset": videos}}
    assert "ucf101-2 (ucf101, split 2)" in site.page(f"/evaluations/{site.best}").text


def test_what_was_measured_on_a_registered_folder_names_the_command_that_asks_the_server(site: Site) -> None:
    with site.api.database.session() as session:
        found = played.finished(session, ready_dataset(session, "gestures"), "late")
        found.checkpoint.pretrained_on = "none"  # said after the scores; no option of this command
    command = f"vcpbench reproduce {found.id} --dataset PLACE"
    page = site.page(f"/evaluations/{found.id}")
    assert command in page.text
    assert "--checkpoint FILE" in page.text
    results = site.api.client.get(f"/v1/evaluations/{found.id}/results").json()
    assert results["provenance"]["pretrained_on"] == "none"
    assert results["provenance"]["reproduce"] == command


def test_random_weights_say_that_no_command_reproduces_them_alone(site: Site) -> None:
    assert "no command reproduces it alone" in site.page(f"/evaluations/{site.control}").text


def test_how_the_probes_were_fitted_is_shown_and_one_that_did_not_converge_is_counted(site: Site) -> None:
    path = f"/evaluations/{site.best}"
    assert "How the probes were fitted: all 3 converged" in site.page(path).text
    with site.api.database.session() as session:
        row = session.get_one(BenchmarkRow, (site.best, "cloze"))
        first, *others = row.predictions["fits"]
        notes = ["L2 strengths that did not converge where one was chosen: 0.001"]
        row.predictions = {
            **row.predictions,
            "fits": [{**first, "converged": False, "notes": notes}, *others],
        }
    page = site.page(path)
    assert "How the probes were fitted: 1 of 3 did not converge" in page.text
    assert notes[0] in page.text


def test_classes_are_counted_from_the_confusion(site: Site) -> None:
    page = site.page(f"/evaluations/{site.best}")
    results = site.api.client.get(f"/v1/evaluations/{site.best}/results").json()
    tables = {table["name"]: table for one in results["benchmarks"] for table in one["tables"]}
    counts = tables["recognition.confusion"]["values"][0]
    (line,) = (row for row in page.root.all("tr") if row.text.startswith("bounce") and "." in row.text)
    cells = [cell.text for cell in line.all("td")]
    assert cells[:2] == [f"{sum(counts):.0f}", f"{100 * counts[0] / sum(counts):.1f}"]
    assert cells[3] == f"{tables['retrieval.per_class']['values'][0][0]:.1f}"


def test_random_weights_have_a_page_too(site: Site) -> None:
    assert "random weights, r3d_tiny seed 0" in site.page(f"/evaluations/{site.control}").text


def test_a_running_evaluation_shows_progress_what_it_waits_for_and_its_jobs(site: Site) -> None:
    page = site.page(f"/evaluations/{site.running}")
    (gauge,) = page.root.all("progress")
    assert (gauge.attributes["value"], gauge.attributes["max"]) == ("0.505", "1")
    for words in (
        "50.5 %",
        "forwarding clips, 250 of 400 clips forwarded",
        "the worker fell silent",
    ):
        assert words in page.text
    (live,) = page.root.all("div", id="progress")
    assert live.attributes["hx-trigger"] == "every 2s"
    assert live.attributes["hx-swap"] == "outerMorph"  # the focus stays where it is
    part = site.get(live.attributes["hx-get"], **{"HX-Request": "true"})
    assert 'value="0.505"' in part.text
    assert "<html" not in part.text
    assert "HX-Refresh" not in part.headers


def test_what_went_wrong_in_an_attempt_is_its_teams_and_what_it_printed_the_operators(site: Site) -> None:
    with site.api.database.session() as session:
        (job,) = session.scalars(select(Job).where(Job.error.is_not(None)))
        job.log_tail = LOG
    path = f"/evaluations/{site.running}"
    own = site.page(path)
    (log,) = own.root.all("pre", class_="log")
    assert log.text == LOG
    assert "the worker fell silent" in own.text
    for team, told in (("default", True), ("others", False)):
        with site.api.client_of(team) as client:
            page = Page.of(client.get(path, headers=HTML))
        assert list(page.root.all("pre", class_="log")) == []
        assert ("the worker fell silent" in page.text) == told


def test_what_an_index_printed_is_for_the_operators_even_where_the_evaluation_is_the_readers(
    api: Served,
) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        dataset.state = DatasetState.INDEXING
        waits = played.ended(session, dataset, EvaluationState.WAITING)
        jobs.enqueue(session, JobKind.INDEX, team="ops", dataset_id=dataset.id)
        (job,) = session.scalars(select(Job))
        job.error = UndecodableVideo("it has no frames", path="/mnt/se cret/a.avi")
        job.log_tail = "opened /mnt/se cret/a.avi"
    path = f"/evaluations/{waits.id}"
    with api.client_of("default") as owner:
        page = Page.of(owner.get(path, headers=HTML))
    assert "a.avi: it has no frames." in page.text
    assert "waits to be indexed: no worker takes the cpu queue, where 1 job waits" in page.text
    assert list(page.root.all("pre", class_="log")) == []
    assert "cret" not in page.text
    assert str(job.error) in Page.of(api.client.get(path, headers=HTML)).text


def test_of_what_is_not_ready_strangers_see_neither_step_nor_run(api: Served) -> None:
    facts = {"run": "night-3", "step": 71234}
    with api.database.session() as session:
        dataset = ready_dataset(session)
        ready_checkpoint(session, "tiny")
        read = ready_checkpoint(session, "tiny", state=CheckpointState.INGESTING, **facts)
        waits = played.ended(session, dataset, EvaluationState.WAITING)
        waits.checkpoint_id = read.id
    with api.client_of("others") as others:
        for path in ("/evaluations", "/models/default/tiny"):
            strange = Page.of(others.get(path, headers=HTML)).text
            own = Page.of(api.client.get(path, headers=HTML)).text
            assert "tiny" in strange
            assert "71234" in own
            assert "71234" not in strange
            assert "night-3" not in strange


def test_when_it_has_ended_the_page_is_loaded_anew(site: Site) -> None:
    for evaluation in (site.best, site.failed, site.cancelled):
        part = site.get(f"/evaluations/{evaluation}/progress", **{"HX-Request": "true"})
        assert part.headers["HX-Refresh"] == "true"
        assert "hx-get" not in part.text


@pytest.mark.parametrize("state", [state for state in EvaluationState if state is not EvaluationState.DONE])
def test_every_state_has_its_page(api: Served, state: EvaluationState) -> None:
    with api.database.session() as session:
        evaluation = played.ended(session, ready_dataset(session), state)
    page = Page.of(api.client.get(f"/evaluations/{evaluation.id}", headers=HTML))
    assert state.value in page.text
    assert state.value in Page.of(api.client.get(f"/evaluations?state={state.value}", headers=HTML)).text


def test_a_failure_shows_its_reason_its_log_and_what_next(site: Site) -> None:
    page = site.page(f"/evaluations/{site.failed}")
    assert REASON in page.text
    assert next(page.root.all("pre", class_="log")).text == LOG
    assert "request the evaluation again" in page.text
    assert "The evaluation was cancelled" in site.page(f"/evaluations/{site.cancelled}").text


def test_a_model_shows_its_course_over_training_and_its_checkpoints(site: Site) -> None:
    page = site.page("/models/default/r3d-vcp")
    (chart,) = charts(page, "lines")
    assert [point[0] for point in chart["series"][0]["points"]] == [6000, 9000]
    assert "2 checkpoints · 2 evaluations" in page.text
    assert "playground, quick-v1, run night-3" in page.text
    assert "c3d/rotation" in site.page("/models/vision/c3d/rotation").text
    assert "No model" in site.page("/models/vision/nothing", 404).text
    assert "No model" in site.page("/models/nothing", 404).text


def test_thousands_of_slashes_in_a_models_address_are_not_thousands_of_questions(site: Site) -> None:
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    event.listen(site.api.database.engine, "before_cursor_execute", count)
    assert "No model" in site.page(f"/models/{'a/' * 20_000}b", 404).text
    event.remove(site.api.database.engine, "before_cursor_execute", count)
    assert 0 < asked < 10


def charts(page: Page, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(one.attributes["data-chart"]) for one in page.root.all("div", role="img")]
    return [chart for chart in found if chart["kind"] == kind]


def test_a_model_shows_what_its_newest_result_says_and_offers_pairs_to_compare(site: Site) -> None:
    page = site.page("/models/default/r3d-vcp")
    assert page.links("r3d-vcp at step 6000, run night-3") == [f"/evaluations/{site.second}"]
    (profile,) = charts(page, "intervals")
    (scores,) = charts(site.page(f"/evaluations/{site.second}"), "intervals")
    assert profile == scores
    ticks = {
        one.attributes["value"]: one.attributes["data-board"]
        for one in page.root.all("input", name_="evaluation")
    }
    assert ticks.keys() == {str(site.best), str(site.second)}
    assert len(set(ticks.values())) == 1
    assert site.get("/compare?evaluation=" + "&evaluation=".join(ticks)).status_code == 303


def test_the_boards_and_the_lists_rows_lead_to_their_models(site: Site) -> None:
    for path in ("/", "/evaluations"):
        assert "/models/vision/c3d/rotation" in site.page(path).links("model c3d/rotation"), path


def test_results_on_videos_that_lost_their_name_lead_to_the_board_of_those(site: Site) -> None:
    old = supersede(site, 12000)
    for path in (f"/evaluations/{site.best}", f"/compare?first={site.second}&second={site.best}"):
        page = site.page(path)
        assert page.links("playground under quick-v1") == [old], path
        assert "superseded" in page.text, path
    boards = site.page("/models/default/r3d-vcp").links("playground under quick-v1")
    assert sorted(set(boards)) == [old, "/?dataset=playground&protocol=quick-v1"]


def test_videos_that_lost_their_name_have_a_course_of_their_own(site: Site) -> None:
    supersede(site, 12000, 15000)
    path = "/models/default/r3d-vcp"
    titles = (
        "playground, quick-v1, run night-3",
        "playground (superseded videos cdcdcdcd), quick-v1, run night-3",
    )
    steps = ([12000, 15000], [6000, 9000])
    for place, (title, expected) in enumerate(zip(titles, steps, strict=True)):
        page = site.page(f"{path}?course={place}")
        assert f"Over training: {title}" in page.text
        assert all(page.links(one) for one in titles)
        (chart,) = charts(page, "lines")
        assert [point[0] for point in chart["series"][0]["points"]] == expected


def test_a_rejected_checkpoint_says_why_on_its_models_page(api: Served) -> None:
    with api.database.session() as session:
        ready_checkpoint(
            session, "odd", state=CheckpointState.REJECTED, reason=VcpbenchError("12 keys of r3d are missing")
        )
    page = Page.of(api.client.get("/models/default/odd", headers=HTML))
    assert "12 keys of r3d are missing" in page.text
    assert "None yet" in page.text


def test_a_comparison_shows_the_numbers_of_the_api(site: Site) -> None:
    address = f"/compare?first={site.second}&second={site.best}"
    page = site.page(address)
    found = site.api.client.get(page.links("JSON")[0]).json()["differences"]
    (chart,) = (json.loads(one.attributes["data-chart"]) for one in page.root.all("div", role="img"))
    by_metric = {one["metric"]: one for one in found}
    first = by_metric["cloze.accuracy"]
    assert chart["series"][0]["points"][0] == [first["low"], first["difference"], first["high"]]
    assert sum(1 for table in page.root.all("tbody") for _ in table.all("tr")) == len(found)
    assert f"{first['difference']:+.1f}".replace("-", "\N{MINUS SIGN}") in page.text
    assert page.links("Swap") == [f"/compare?first={site.best}&second={site.second}"]


def test_two_ticks_make_a_comparison_and_other_numbers_are_explained(site: Site) -> None:
    two = site.get(f"/compare?evaluation={site.best}&evaluation={site.second}")
    assert two.status_code == 303
    assert two.headers["Location"] == f"/compare?first={site.best}&second={site.second}"
    one = site.page(f"/compare?evaluation={site.best}", 422)
    assert "You ticked 1 row. A comparison needs two" in one.text
    assert "Tick two to 50 rows" in site.page("/compare").text
    assert "is failed" in site.page(f"/compare?first={site.best}&second={site.failed}", 409).text


def test_a_choice_on_the_page_to_submit_shows_what_an_evaluation_would_take(site: Site) -> None:
    dataset = counted_dataset(site.api)
    query = "/submit?dataset=gestures&protocol=quick-v1&backbone=r3d_tiny"
    assert "unknown: no evaluation of r3d_tiny ran here yet" in site.page(query).text
    with site.api.database.session() as session:
        ran(session, dataset)
    page = site.page(query)
    found = site.api.client.get(query.replace("/submit", "/v1/estimates")).json()
    (estimate,) = page.root.all("div", id="estimate")
    total = duration_range(found["total_s"]["low"], found["total_s"]["high"])
    assert f"{total}, most of it for {found['longest']}" in estimate.text
    assert f"{found['clips']} of 12 videos, for each network" in estimate.text
    assert "checkpoint, random weights 0, pixels" in estimate.text
    assert "0 workers, 0 jobs before it" in estimate.text
    assert "1 shard of the last evaluations of r3d_tiny, cpu" in estimate.text
    assert "no worker takes the gpu queue now" in estimate.text
    chosen = [one.text for one in page.root.all("option", selected="")]
    assert chosen == ["gestures", "quick-v1", "r3d_tiny"]


def test_without_a_choice_the_page_to_submit_estimates_nothing(site: Site) -> None:
    for query in ("/submit", "/submit?dataset=&protocol=&backbone="):
        (estimate,) = site.page(query).root.all("div", id="estimate")
        assert estimate.text.strip() == ""


def test_videos_that_are_not_counted_have_a_reason_instead_of_an_estimate(site: Site) -> None:
    page = site.page("/submit?dataset=playground-64&protocol=quick-v1&backbone=r3d_tiny")
    assert "The videos of playground-64 are not made yet." in page.text


def test_an_unfinished_evaluation_shows_the_estimate_that_was_made_before_it(site: Site) -> None:
    dataset = counted_dataset(site.api)
    with site.api.database.session() as session:
        row = session.get_one(DatasetRow, dataset.id)
        asked = played.ended(session, row, EvaluationState.RUNNING)
    path = f"/evaluations/{asked.id}"
    assert "Estimated before" not in site.page(path).text
    with site.api.database.session() as session:
        ran(session, dataset)
    query = {"dataset": "gestures", "protocol": "quick-v1", "backbone": "r3d_tiny"}
    total = site.api.client.get("/v1/estimates", params=query).json()["total_s"]
    span = duration_range(total["low"], total["high"])
    said = f"Estimated before: {span}, by the last evaluations of r3d_tiny"
    assert said in site.page(path).text
    with site.api.database.session() as session:
        ran(session, dataset, score_s=2000.0)  # later evaluations do not change it
    assert said in site.page(path).text
    assert said in site.get(f"{path}/progress").text
    assert "Estimated before" not in site.page(f"/evaluations/{site.best}").text


def test_how_to_submit_names_this_server(site: Site) -> None:
    page = site.page("/submit")
    assert f"URL={site.api.url};" in page.text
    assert "playground" in page.text


def test_a_hostile_name_is_shown_and_does_nothing(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, HOSTILE)
        evaluation = played.finished(
            session, dataset, HOSTILE, team=HOSTILE, seed=1, skill=0.8, run=HOSTILE, step=1
        )
        other = played.finished(
            session, dataset, HOSTILE, team=HOSTILE, seed=2, skill=0.75, run=HOSTILE, step=2
        )
        failed = played.ended(
            session, dataset, EvaluationState.FAILED, reason=VcpbenchError(HOSTILE), log_tail=HOSTILE
        )
    model = f"/models/{quote(HOSTILE)}/{quote(HOSTILE)}"
    for path in (
        f"/?dataset={quote(HOSTILE)}&team={quote(HOSTILE)}&fact=run",
        "/evaluations",
        f"/evaluations/{evaluation.id}",
        f"/evaluations/{failed.id}",
        f"/compare?first={evaluation.id}&second={other.id}",
        model,
    ):
        answer = api.client.get(path, headers=HTML)
        assert answer.status_code == 200, path
        page = Page.of(answer)
        assert HOSTILE in " ".join(page.root.text.split()), path
        assert "alert(1)</script>" not in answer.text
        assert "49" not in page.root.text.split(), path
    board = Page.of(api.client.get("/", headers=HTML))
    (link,) = {cell.attributes["href"] for cell in board.root.all("a", title=f"All of {HOSTILE}")}
    assert Page.of(api.client.get(link, headers=HTML)).text.count(HOSTILE) > 1


def test_a_browser_reads_errors_and_a_client_gets_problems(site: Site) -> None:
    missing = f"/evaluations/{uuid4()}"
    assert "No evaluation" in site.page(missing, 404).text
    assert "No route GET /nothing" in site.page("/nothing", 404).text
    assert "No evaluation" in site.page(f"/v1{missing}", 404).text
    assert "Invalid request" in site.page("/evaluations/no-id", 422).text
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "text/html", "HX-Request": "true"}):
        answer = site.api.client.get(missing, headers=headers)
        assert answer.headers["Content-Type"] == PROBLEM
        assert answer.json()["status"] == 404


def test_a_fault_is_a_readable_page_without_inner_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("inner words")

    monkeypatch.setattr("service.web.leaderboard.show", fail)
    page = site.page("/", 500)
    assert "Please report it" in page.text
    assert "inner words" not in page.html


def test_without_a_token_every_page_asks_for_one_and_leads_back(api: Served, browser: httpx.Client) -> None:
    for path in (
        "/?sort=model",
        "/evaluations",
        f"/evaluations/{uuid4()}",
        "/models/a/b",
        "/compare",
        "/submit",
        "/tokens",
    ):
        answer = browser.get(path)
        assert answer.status_code == 401
        form = next(Page.of(answer).root.all("form", id="login"))
        assert [field.attributes["value"] for field in form.all("input", type="hidden")] == [path]


def test_a_login_is_a_cookie_that_only_reads(api: Served, browser: httpx.Client) -> None:
    answer = browser.post("/login", data={"token": f" {secret(api)} ", "next": "/submit"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/submit")
    cookie = answer.headers["Set-Cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
    assert browser.get("/submit").status_code == 200
    assert browser.get("/v1/checkpoints").status_code == 200
    for method, path in (("POST", "/v1/evaluations"), ("PUT", "/v1/checkpoints/upload?model=x")):
        assert browser.request(method, path, headers={"Accept": "*/*"}).status_code == 401
    assert browser.post("/logout").headers["Location"] == "/login"
    assert browser.get("/submit").status_code == 401


def test_a_wrong_token_is_no_login(browser: httpx.Client) -> None:
    for token in ("vcp_wrong", "", "é\x00"):
        answer = browser.post("/login", data={"token": token})
        assert answer.status_code == 401
        assert "unknown or was revoked" in Page.of(answer).text
        assert COOKIE not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize(
    "path", ["//evil.org", "/\\evil.org", "https://evil.org", "\n/x", "", "javascript:x"]
)
def test_a_login_never_leads_elsewhere(api: Served, browser: httpx.Client, path: str) -> None:
    answer = browser.post("/login", data={"token": secret(api), "next": path})
    assert answer.headers["Location"] == "/"
    Page.of(browser.get("/login", params={"next": path}))


def test_a_form_of_another_site_is_refused(api: Served, browser: httpx.Client) -> None:
    for path in ("/login", "/logout", "/theme"):
        answer = browser.post(path, data={"token": secret(api)}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_where_reading_is_public_nobody_needs_to_log_in(settings: Settings) -> None:
    with (
        serve(settings.model_copy(update={"public_read": True})) as api,
        open_http(api.url, headers=HTML, cookies={COOKIE: "revoked"}) as client,
    ):
        assert client.get("/evaluations").status_code == 200
        assert client.get("/v1/checkpoints").status_code == 200
        assert client.post("/v1/evaluations", json={}).status_code == 401
        assert client.get("/v1/checkpoints", headers={"Authorization": "Bearer revoked"}).status_code == 401


def test_where_reading_is_public_who_logged_in_still_sees_what_is_its_own(settings: Settings) -> None:
    with serve(settings.model_copy(update={"public_read": True})) as api:
        with api.database.session() as session:
            failed = played.ended(session, ready_dataset(session), EvaluationState.FAILED, log_tail=LOG)
        path = f"/evaluations/{failed.id}"
        for cookies, sees in (({}, False), ({COOKIE: secret(api)}, True)):
            with open_http(api.url, headers=HTML, cookies=cookies) as client:
                assert (html.escape(LOG) in client.get(path).text) == sees


def test_light_and_dark_are_kept_in_a_cookie(site: Site, browser: httpx.Client) -> None:
    assert next(Page.of(browser.get("/login")).root.all("html")).attributes.get("data-theme") is None
    answer = browser.post("/theme", data={"theme": "dark", "next": "/login?next=/submit"})
    assert answer.headers["Location"] == "/login?next=/submit"
    assert next(Page.of(browser.get("/login")).root.all("html")).attributes["data-theme"] == "dark"
    browser.post("/theme", data={"theme": "<x>"})
    assert next(Page.of(browser.get("/login")).root.all("html")).attributes["data-theme"] == "dark"


def test_pages_are_no_part_of_the_apis_document(api: Served) -> None:
    paths = set(api.app.openapi()["paths"]) - {"/healthz", "/readyz"}
    assert all(path.startswith("/v1/") for path in paths)


def test_a_static_file_has_an_address_that_changes_with_it(browser: httpx.Client) -> None:
    answer = browser.get(pages.static("app.css"))
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" not in browser.get("/static/app.css").headers.get("Cache-Control", "")
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/nothing.js"):
        assert browser.get(path).status_code == 404


def test_an_evaluation_without_a_benchmark_says_why(site: Site) -> None:
    with site.api.database.session() as session:
        row = session.get_one(Evaluation, site.best)
        row.unavailable = {"cloze": "not available: 0 of 9 test videos have 80 frames"}
    assert "0 of 9 test videos have 80 frames" in site.page(f"/evaluations/{site.best}").text


def test_an_evaluation_says_which_network_of_the_file_it_is_of(site: Site) -> None:
    path = f"/evaluations/{site.best}"
    assert "of the file" not in site.page(path).text
    report = {"network": "student.", "others": ["teacher.", HOSTILE], "why": "as --prefix asked", "notes": []}
    with site.api.database.session() as session:
        session.get_one(Evaluation, UUID(str(site.best))).checkpoint.report = report
    page = site.page(path)
    assert "Network student. of the file: as --prefix asked. Also there, and not used: teacher.," in page.text
    assert HOSTILE in page.text  # as text


def test_models_are_listed_and_found_by_part_of_a_name(site: Site) -> None:
    page = site.page("/models")
    listed = [row.text for row in page.root.all("th", scope="row")]
    assert listed[-4:] == ["order", "collapsed", "c3d/rotation", "r3d-vcp"]
    found = site.page("/models?name=VCP&team=default")
    assert [row.text for row in found.root.all("th", scope="row")] == ["r3d-vcp"]
    assert found.links("r3d-vcp") == ["/models/default/r3d-vcp"]
    assert "No model is called that" in site.page("/models?name=nobody").text
    assert "<script>" not in site.get(f"/models?name={quote(HOSTILE)}").text.partition("<main")[2]
