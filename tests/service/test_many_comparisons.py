"""Many evaluations: kept by what is compared, with the numbers of the comparisons of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, select, update

from records import flow
from records.db import NOW
from records.models import BenchmarkRow, Comparison, EvaluationState, Job, JobKind, JobState
from records.repositories import jobs
from records.repositories.comparisons import FAILED_FOR
from records.settings import Settings
from service.comparisons import many
from service.limits import MAX_LIVE_COMPARISONS_OF_MANY
from tests.served import Served, open_http, serve
from tests.service.finished import (
    HEADLINE,
    compare_many_now,
    compare_waiting,
    done,
    ready_checkpoint,
    ready_dataset,
)
from tests.service.kit import problem_of
from tests.service.test_comparisons import STANDARD, answers
from vcp_core.catalog.errors import NotAvailable
from vcp_core.scoring.stored_many import MOST
from vcp_core.statistics.several import holm


@pytest.fixture
def five(api: Served) -> list[str]:
    """Evaluations of five models on one board."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        return [
            str(
                done(
                    session,
                    ready_checkpoint(session, f"m{n}"),
                    dataset,
                    {HEADLINE: 20.0 * n},
                    predictions=[answers(n, 0.2 * n)],
                ).id
            )
            for n in range(5)
        ]


def ask(api: Served, evaluations: Sequence[str], **more: Any) -> httpx.Response:
    """Ask once, and look after a worker made what waits."""
    answer = post(api.client, evaluations, **more)
    if answer.status_code == 202:
        compare_waiting(api.database)
        answer = post(api.client, evaluations, **more)
    return answer


def post(client: httpx.Client, evaluations: Sequence[str], **more: Any) -> httpx.Response:
    return client.post("/v1/comparisons", json={"evaluations": list(evaluations), **more})


def jobs_of(api: Served) -> list[Job]:
    with api.database.session() as session:
        return list(session.scalars(select(Job).where(Job.kind == JobKind.COMPARE)))


def test_the_numbers_are_those_of_the_comparisons_of_two(api: Served, five: list[str]) -> None:
    answer = ask(api, five, baseline=five[2])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["state"], found["baseline"]) == ("done", five[2])
    assert [one["id"] for one in found["evaluations"]] == five
    assert [one["evaluation"] for one in found["with_baseline"]] == [*five[:2], *five[3:]]
    more = {"num_comparisons", "p_adjusted"}
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for one in found["with_baseline"]:
        alone = api.client.get("/v1/comparisons", params={"first": five[2], "second": one["evaluation"]})
        assert alone.status_code == 200, "it is kept as a comparison of two"
        plain = [{name: d[name] for name in d if name not in more} for d in one["differences"]]
        assert plain == alone.json()["differences"] != []
        assert one["notes"] == alone.json()["notes"]
        for difference in one["differences"]:
            by_metric.setdefault(difference["metric"], []).append(difference)
    for differences in by_metric.values():
        assert [d["p_adjusted"] for d in differences] == holm([d["p_value"] for d in differences])
        assert {d["num_comparisons"] for d in differences} == {4}


def test_all_pairs_are_there_and_adjusted_together(api: Served, five: list[str]) -> None:
    matrices = {one["metric"]: one for one in ask(api, five).json()["matrices"]}
    assert {(one["num_comparisons"], len(one["pairs"])) for one in matrices.values()} == {(10, 10)}
    matrix = matrices[HEADLINE]
    assert {frozenset((p["first"], p["second"])) for p in matrix["pairs"]} == {
        frozenset((one, other)) for one in five for other in five if one != other
    }
    assert [p["p_adjusted"] for p in matrix["pairs"]] == holm([p["p_value"] for p in matrix["pairs"]])
    pair = matrix["pairs"][-1]
    asked = {"first": pair["first"], "second": pair["second"]}
    api.client.get("/v1/comparisons", params=asked)
    compare_waiting(api.database)
    alone = api.client.get("/v1/comparisons", params=asked).json()["differences"]
    (top1,) = (one for one in alone if one["metric"] == HEADLINE)
    assert {name: pair[name] for name in ("difference", "low", "high", "p_value")} == {
        name: top1[name] for name in ("difference", "low", "high", "p_value")
    }


def test_it_is_kept_whatever_the_order_and_shown_under_its_id(api: Served, five: list[str]) -> None:
    first = post(api.client, five, baseline=five[0])
    assert first.status_code == 202
    assert (first.json()["state"], first.json()["with_baseline"], first.json()["matrices"]) == (
        "waiting",
        [],
        [],
    )
    assert first.json()["waiting_for"].startswith("the comparison waits to be made: no worker takes the cpu")
    where = first.headers["Location"]
    compare_waiting(api.database)
    again = post(api.client, [five[0], *reversed(five[1:])], baseline=five[0])
    assert (again.status_code, again.headers["Location"]) == (200, where)
    with api.database.session() as session:  # what is kept is shown, not made again
        session.execute(delete(BenchmarkRow))
    found = api.client.get(where).json()
    assert found["state"] == "done"
    by_id = {one["evaluation"]: one for one in found["with_baseline"]}
    assert by_id == {one["evaluation"]: one for one in again.json()["with_baseline"]}
    assert found["matrices"] == again.json()["matrices"]
    assert len(jobs_of(api)) == 1


def test_who_looks_while_a_worker_is_at_it_sees_how_far_it_is(api: Served, five: list[str]) -> None:
    where = post(api.client, five).headers["Location"]
    assert [job.total for job in jobs_of(api)] == [10]
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
        assert claim is not None
        assert jobs.renew(session, claim, lease_s=60, done=3, total=10)
        session.execute(update(Job).values(worker_id=None))
    found = api.client.get(where).json()
    assert (found["state"], found["progress"]) == ("running", {"fraction": 0.3, "stage": "comparing"})


def test_what_does_not_fit_is_named(api: Served, five: list[str]) -> None:
    with api.database.session() as session:
        weights = ready_checkpoint(session, "c")
        same = ready_dataset(session, "same", "fingerprint of gestures")
        other = done(session, weights, ready_dataset(session, "other"), {}, predictions=[answers(0, 0.2)])
        later = done(session, weights, same, {}, protocol=STANDARD, predictions=[answers(0, 0.2)])
        failed = done(session, weights, same, {}, state=EvaluationState.FAILED, results=None)
        told = [(str(one.id), words) for one, words in ((other, "dataset"), (later, "protocol"))]
        failed_id = str(failed.id)
    for wrong, words in told:
        detail = problem_of(post(api.client, [*five, wrong]), 409)["detail"]
        assert f"Evaluation {wrong} does not fit: its {words} is" in detail
    assert (
        f"Evaluation {failed_id} is failed" in problem_of(post(api.client, [*five, failed_id]), 409)["detail"]
    )
    problem_of(post(api.client, [*five, str(uuid4())]), 404)
    assert "named more than once" in problem_of(post(api.client, [*five, five[0]]), 422)["detail"]
    assert "is not among the 4" in problem_of(post(api.client, five[:4], baseline=five[4]), 422)["detail"]
    problem_of(post(api.client, five[:1]), 422)
    problem_of(post(api.client, [five[0]] * (MOST + 1)), 422)
    problem_of(post(api.client, five, surplus=1), 422)
    assert jobs_of(api) == []


def test_the_first_characters_of_ids_and_names_of_models_name_evaluations(
    api: Served, five: list[str]
) -> None:
    found = ask(api, ["m0@latest", five[1][:18], five[2]], baseline="m0@latest").json()
    assert [one["id"] for one in found["evaluations"]] == five[:3]


def test_another_baseline_turns_the_differences_round(api: Served, five: list[str]) -> None:
    first = ask(api, five, baseline=five[0]).json()
    other = ask(api, five, baseline=five[4]).json()
    assert first["id"] != other["id"]
    assert [one["evaluation"] for one in other["with_baseline"]] == five[:4]
    from_first = next(d for d in first["with_baseline"][-1]["differences"] if d["metric"] == HEADLINE)
    back = next(d for d in other["with_baseline"][0]["differences"] if d["metric"] == HEADLINE)
    assert back["difference"] == pytest.approx(-from_first["difference"])


def test_the_team_that_asked_cancels_it_and_nothing_of_it_is_kept(api: Served, five: list[str]) -> None:
    with api.client_of("vision") as vision, api.client_of("audio") as audio:
        where = post(vision, five).headers["Location"]
        problem_of(audio.post(f"{where}/cancel"), 403)
        with api.database.session() as session:
            claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
            assert claim is not None
        assert vision.post(f"{where}/cancel").json()["state"] == "cancelled"
        problem_of(vision.get(where), 404)
        with api.database.session() as session:
            assert not jobs.renew(session, claim, lease_s=60), "the worker stops"
        assert jobs_of(api) == []
        where = post(vision, five).headers["Location"]
        compare_waiting(api.database)
        assert "is done already" in problem_of(vision.post(f"{where}/cancel"), 409)["detail"]
        problem_of(vision.post(f"/v1/comparisons/{uuid4()}/cancel"), 404)


def test_a_failed_one_says_why_and_is_made_anew_later(api: Served, five: list[str]) -> None:
    where = post(api.client, five).headers["Location"]
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
        assert claim is not None
        jobs.fail(session, claim, NotAvailable("evaluations x and y: not the same videos row by row"))
        flow.lock(session)
        flow.job_failed(session, session.get_one(Job, claim.job_id))
    found = post(api.client, five)
    assert (found.status_code, found.json()["state"]) == (200, "failed")
    assert "row by row" in found.json()["reason"]
    assert api.client.get(where).json()["state"] == "failed"
    with api.database.session() as session:
        session.execute(update(Comparison).values(finished_at=NOW - 2 * FAILED_FOR))
    assert ask(api, five).json()["state"] == "done"
    assert len(jobs_of(api)) == 1


def test_what_other_rules_gave_is_not_shown(
    api: Served, five: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = post(api.client, five).headers["Location"]
    monkeypatch.setattr(many, "MANY_VERSION", "of tomorrow")
    problem_of(api.client.get(where), 404)
    assert post(api.client, five).headers["Location"] != where
    assert len(jobs_of(api)) == 1


def test_a_team_has_so_many_under_way_and_comparisons_of_two_beside_them(
    api: Served, five: list[str]
) -> None:
    for baseline in five[:MAX_LIVE_COMPARISONS_OF_MANY]:
        assert post(api.client, five, baseline=baseline).status_code == 202
    found = problem_of(post(api.client, five, baseline=five[4]), 429)
    assert (found["used"], found["allowed"]) == (4, 4)
    assert "4 comparisons of many evaluations under way" in found["detail"]
    assert post(api.client, five, baseline=five[0]).status_code == 202
    two = {"first": five[0], "second": five[1]}
    assert api.client.get("/v1/comparisons", params=two).status_code == 202
    with api.client_of("vision") as other:
        assert post(other, five, baseline=five[4]).status_code == 202


def test_a_comparison_of_two_that_waits_is_done_when_many_were_compared(api: Served, five: list[str]) -> None:
    two = {"first": five[0], "second": five[1]}
    assert api.client.get("/v1/comparisons", params=two).status_code == 202
    where = post(api.client, five[:3]).headers["Location"]
    with api.database.session() as session:
        row = session.get_one(Comparison, UUID(where.rpartition("/")[2]))
        waiting = session.scalars(select(Comparison).where(Comparison.second_id.is_not(None))).one()
        waiting_id = waiting.id
        compare_many_now(session, row)
        session.execute(update(Job).where(Job.comparison_id == row.id).values(state=JobState.DONE))
    found = api.client.get("/v1/comparisons", params=two)
    assert (found.status_code, found.json()["state"]) == (200, "done")
    with api.database.session() as session:
        assert session.get_one(Comparison, waiting_id).content is not None
        states = select(Job.state).where(Job.comparison_id == waiting_id)
        assert session.scalars(states).one() is JobState.CANCELLED  # no worker does it a second time


def test_a_comparison_that_has_lost_a_part_is_made_again(api: Served, five: list[str]) -> None:
    found = ask(api, five).json()
    with api.database.session() as session:
        session.execute(delete(Comparison).where(Comparison.second_id == UUID(five[3])))
    problem_of(api.client.get(f"/v1/comparisons/{found['id']}"), 404)
    again = ask(api, five).json()
    assert again["with_baseline"] == found["with_baseline"]


def test_a_reader_without_a_token_sees_what_is_there_and_has_nothing_compared(
    api: Served, settings: Settings, five: list[str]
) -> None:
    page = "/compare?" + "&".join(f"evaluation={one}" for one in five)
    public = settings.model_copy(update={"public_read": True})
    with serve(public) as served, open_http(served.url, headers={"Accept": "text/html"}) as anyone:
        assert anyone.get(page).status_code == 401
        assert not jobs_of(api)
        ask(api, five)
        assert anyone.get(page).status_code == 200
