"""Two evaluations in pairs: only of the same videos and protocol, with the library's own numbers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, select, text, update

from records import flow
from records.db import NOW, Database
from records.models import BenchmarkRow, Comparison, DatasetState, EvaluationState, Job, JobKind, JobState
from records.repositories import jobs
from records.repositories.comparisons import FAILED_FOR
from records.settings import Settings
from service.comparisons import service
from service.limits import MAX_LIVE_COMPARISONS
from tests.patience import until
from tests.served import Served, open_http, serve
from tests.service.finished import HEADLINE, compare_waiting, done, ready_checkpoint, ready_dataset
from tests.service.kit import num_waiting, problem_of
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import compare

QUICK, STANDARD = PROTOCOLS["quick-v1"], PROTOCOLS["standard-v1"]
CLASSES = ("run", "sit", "wave")


def answers(seed: int, skill: float, num_videos: int = 40) -> Predictions:
    """Of a model that is right so often; the rest is guessed."""
    rng = random.Random(seed)
    labels = [CLASSES[place % 3] for place in range(num_videos)]

    def best(label: str) -> list[str]:
        order = rng.sample(CLASSES, 3)
        return [label, *(name for name in order if name != label)] if rng.random() < skill else order

    return Predictions(
        benchmark="recognition",
        answers=CLASSES,
        columns={
            "video": [f"v{place}" for place in range(num_videos)],
            "group": [f"g{place // 2}" for place in range(num_videos)],
            "label": labels,
            "linear": [best(label) for label in labels],
            "knn": [best(label) for label in labels],
        },
    )


def ask(api: Served, first: Any, second: Any) -> httpx.Response:
    """Once it is made, if it can be."""
    found = look(api, first, second)
    if found.status_code == 202:
        compare_waiting(api.database)
        found = look(api, first, second)
    return found


def look(api: Served, first: Any, second: Any) -> httpx.Response:
    """As it is now."""
    return api.client.get("/v1/comparisons", params={"first": str(first), "second": str(second)})


@pytest.fixture
def pair(api: Served) -> tuple[str, str]:
    """A weak and a strong one."""
    with api.database.session() as session:
        dataset = ready_dataset(session)

        def evaluated(model: str, top1: float, predictions: Predictions) -> str:
            weights = ready_checkpoint(session, model)
            return str(done(session, weights, dataset, {HEADLINE: top1}, predictions=[predictions]).id)

        return evaluated("weak", 40.0, answers(0, 0.2)), evaluated("strong", 80.0, answers(1, 0.9))


def test_differences_are_the_librarys(api: Served, pair: tuple[str, str]) -> None:
    answer = ask(api, *pair)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    wanted = compare({"recognition": answers(0, 0.2)}, {"recognition": answers(1, 0.9)}, QUICK)
    assert found["differences"] == [difference.model_dump() for difference in wanted]
    top1 = next(one for one in found["differences"] if one["metric"] == HEADLINE)
    assert 0 < top1["low"] < top1["difference"] < top1["high"]
    assert [found[side]["checkpoint"]["model"] for side in ("first", "second")] == ["weak", "strong"]
    back = {one["metric"]: one["difference"] for one in ask(api, *reversed(pair)).json()["differences"]}
    assert back == {one["metric"]: -one["difference"] for one in found["differences"]}


def test_an_evaluation_differs_from_itself_in_nothing(api: Served, pair: tuple[str, str]) -> None:
    found = ask(api, pair[0], pair[0]).json()["differences"]
    assert {(one["difference"], one["low"] <= 0 <= one["high"]) for one in found} == {(0.0, True)}


def test_only_equal_protocols_are_compared(api: Served, pair: tuple[str, str]) -> None:
    with api.database.session() as session:
        same = ready_dataset(session, "same", "fingerprint of gestures")
        weights = ready_checkpoint(session, "c")
        other = done(session, weights, same, {}, protocol=STANDARD, predictions=[answers(0, 0.2)])
    detail = problem_of(ask(api, pair[0], other.id), 409)["detail"]
    assert "protocol" in detail
    assert STANDARD.hash in detail


def test_only_the_same_videos_are_compared_whatever_they_are_called(
    api: Served, pair: tuple[str, str]
) -> None:
    with api.database.session() as session:
        weights = ready_checkpoint(session, "c")
        same = ready_dataset(session, "same", "fingerprint of gestures")
        equal = done(session, weights, same, {}, predictions=[answers(0, 0.2)])
        other = done(session, weights, ready_dataset(session, "other"), {}, predictions=[answers(0, 0.2)])
    assert ask(api, pair[0], equal.id).status_code == 200
    assert "dataset" in problem_of(ask(api, pair[0], other.id), 409)["detail"]


def test_what_is_not_done_is_not_compared(api: Served, pair: tuple[str, str]) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, "indexing")
        dataset.state, dataset.fingerprint = DatasetState.INDEXING, None
        waiting = [
            done(
                session,
                ready_checkpoint(session, name),
                dataset,
                {},
                state=EvaluationState.WAITING,
                results=None,
            )
            for name in ("x", "y")
        ]
    assert "waiting" in problem_of(ask(api, pair[0], waiting[0].id), 409)["detail"]
    problem_of(ask(api, waiting[0].id, waiting[1].id), 409)
    problem_of(ask(api, pair[0], uuid4()), 404)
    problem_of(api.client.get("/v1/comparisons", params={"first": pair[0]}), 422)


def test_predictions_of_fewer_videos_are_compared_on_those_and_the_page_says_so(
    api: Served, pair: tuple[str, str]
) -> None:
    with api.database.session() as session:
        same = ready_dataset(session, "same", "fingerprint of gestures")
        fewer = done(session, ready_checkpoint(session, "c"), same, {}, predictions=[answers(0, 0.2, 20)])
    found = ask(api, pair[0], fewer.id).json()
    assert {one["num_videos"] for one in found["differences"]} == {20}
    note = "recognition: compared on the 20 videos that both answered, without 20 of the first alone"
    assert found["notes"] == [note]
    page = api.client.get("/compare", params={"first": pair[0], "second": str(fewer.id)})
    assert note in page.text


def rows(api: Served) -> list[Comparison]:
    with api.database.session() as session:
        return list(session.scalars(select(Comparison).order_by(Comparison.created_at)))


def jobs_of(api: Served) -> list[Job]:
    with api.database.session() as session:
        return list(session.scalars(select(Job).where(Job.kind == JobKind.COMPARE)))


def test_a_comparison_is_made_once_by_a_worker_and_kept(api: Served, pair: tuple[str, str]) -> None:
    found = look(api, *pair)
    assert found.status_code == 202
    assert found.json()["state"] == "waiting"
    assert found.json()["differences"] == []
    assert found.json()["progress"] == {"fraction": 0.0, "stage": "waiting"}
    assert found.json()["waiting_for"].startswith("the comparison waits to be made: no worker takes the cpu")
    assert look(api, *pair).status_code == 202
    (job,) = jobs_of(api)
    assert (job.team, job.queue, job.state) == ("default", "cpu", JobState.QUEUED)
    compare_waiting(api.database)
    kept = look(api, *pair).json()
    assert (kept["state"], kept["progress"]) == ("done", {"fraction": 1.0, "stage": "done"})
    with api.database.session() as session:  # what is kept is shown, not made again
        session.execute(delete(BenchmarkRow))
    assert look(api, *pair).json()["differences"] == kept["differences"] != []
    assert (len(rows(api)), len(jobs_of(api))) == (1, 1)


def test_who_looks_while_a_worker_is_at_it_sees_how_far_it_is(api: Served, pair: tuple[str, str]) -> None:
    look(api, *pair)
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
        assert claim is not None
        assert jobs.renew(session, claim, lease_s=60, done=1, total=4)
        session.execute(update(Job).values(worker_id=None))
    found = look(api, *pair).json()
    assert found["state"] == "running"
    assert found["progress"] == {"fraction": 0.25, "stage": "comparing"}
    assert found["waiting_for"] is None
    page = api.client.get("/compare", params={"first": pair[0], "second": pair[1]})
    assert "25.0 %" in page.text
    assert "/compare/progress?" in page.text
    part = api.client.get("/compare/progress", params={"first": pair[0], "second": pair[1]})
    assert "HX-Refresh" not in part.headers
    compare_waiting(api.database)
    part = api.client.get("/compare/progress", params={"first": pair[0], "second": pair[1]})
    assert part.headers["HX-Refresh"] == "true"


def test_what_other_rules_gave_is_not_shown(
    api: Served, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(api, *pair).status_code == 200
    monkeypatch.setattr(service, "COMPARED_VERSION", "of tomorrow")
    assert look(api, *pair).status_code == 202
    assert [row.version for row in rows(api)] == ["of tomorrow"]
    assert len(jobs_of(api)) == 1


def test_a_comparison_that_failed_says_why_and_is_tried_anew_later(
    api: Served, pair: tuple[str, str]
) -> None:
    look(api, *pair)
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
        assert claim is not None
        jobs.fail(session, claim, NotAvailable("recognition: not the same videos row by row"))
        flow.lock(session)
        flow.job_failed(session, session.get_one(Job, claim.job_id))
    found = look(api, *pair)
    assert (found.status_code, found.json()["state"]) == (200, "failed")
    assert "row by row" in found.json()["reason"]
    page = api.client.get("/compare", params={"first": pair[0], "second": pair[1]})
    assert "row by row" in page.text
    with api.database.session() as session:
        session.execute(update(Comparison).values(finished_at=NOW - 2 * FAILED_FOR))
    assert ask(api, *pair).json()["state"] == "done"
    assert (len(rows(api)), len(jobs_of(api))) == (1, 1)


@pytest.fixture
def many(api: Served) -> list[str]:
    """Evaluations of more pairs than may be compared at once."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        return [
            str(
                done(
                    session, ready_checkpoint(session, f"m{n}"), dataset, {}, predictions=[answers(n, 0.5)]
                ).id
            )
            for n in range(9)
        ]


def pairs(many: list[str], number: int) -> list[tuple[str, str]]:
    found = [(one, other) for one in many for other in many if one != other][:number]
    assert len(found) == number
    return found


def test_a_team_has_so_many_comparisons_under_way_and_is_told_which_limit_that_is(
    api: Served, many: list[str]
) -> None:
    allowed = pairs(many, MAX_LIVE_COMPARISONS)
    one_more = pairs(many, MAX_LIVE_COMPARISONS + 1)[-1]
    assert {look(api, *pair).status_code for pair in allowed} == {202}
    answer = look(api, *one_more)
    found = problem_of(answer, 429)
    assert answer.headers["Retry-After"] == "10"
    said = ("limit", "used", "allowed")
    assert [found[name] for name in said] == [
        "comparisons under way",
        MAX_LIVE_COMPARISONS,
        MAX_LIVE_COMPARISONS,
    ]
    assert "Team 'default' has 16 comparisons under way" in found["detail"]
    assert "the oldest was asked for at 20" in found["detail"]
    page = api.client.get(
        "/compare",
        params=dict(zip(("first", "second"), one_more, strict=True)),
        headers={"Accept": "text/html"},
    )
    assert (page.status_code, "16 are allowed" in page.text) == (429, True)
    assert look(api, *allowed[0]).status_code == 202  # what is under way is shown all the same
    with api.client_of("vision") as other:  # and another team has places of its own
        query = dict(zip(("first", "second"), one_more, strict=True))
        assert other.get("/v1/comparisons", params=query).status_code == 202
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
    problem_of(
        look(api, *pairs(many, MAX_LIVE_COMPARISONS + 2)[-1]), 429
    )  # one that runs has its place still
    assert claim is not None
    with api.database.session() as session:
        assert jobs.finish(session, claim)
    assert look(api, *pairs(many, MAX_LIVE_COMPARISONS + 2)[-1]).status_code == 202


def test_readers_without_a_token_share_their_places_and_take_no_teams(
    settings: Settings, api: Served, many: list[str]
) -> None:
    public = settings.model_copy(update={"public_read": True})
    with serve(public) as served, ExitStack() as stack:
        readers = [stack.enter_context(open_http(served.url)) for _ in range(3)]
        asked = [
            readers[place % 3].get(
                "/v1/comparisons", params=dict(zip(("first", "second"), pair, strict=True))
            )
            for place, pair in enumerate(pairs(many, MAX_LIVE_COMPARISONS + 3))
        ]
        assert [one.status_code for one in asked] == [202] * MAX_LIVE_COMPARISONS + [429] * 3
        assert "Readers without a token together have 16" in problem_of(asked[-1], 429)["detail"]
        assert look(api, *pairs(many, MAX_LIVE_COMPARISONS + 1)[-1]).status_code == 202


def test_of_sixty_at_once_no_more_than_the_limit_are_queued(api: Served, many: list[str]) -> None:
    with ThreadPoolExecutor(60) as pool:
        found = list(pool.map(lambda pair: look(api, *pair).status_code, pairs(many, 60)))
    assert (found.count(202), found.count(429)) == (MAX_LIVE_COMPARISONS, 60 - MAX_LIVE_COMPARISONS)
    assert len(jobs_of(api)) == MAX_LIVE_COMPARISONS


def test_sixty_at_once_that_hold_every_thread_do_not_hold_up_health(
    api: Served, database: Database, many: list[str]
) -> None:
    with ThreadPoolExecutor(60) as pool:
        with database.session() as blocker:
            blocker.execute(text("LOCK TABLE evaluation IN ACCESS EXCLUSIVE MODE"))
            asked = [pool.submit(look, api, *pair) for pair in pairs(many, 60)]
            until(lambda: num_waiting(database) == 40)
            assert api.client.get("/v1/health").status_code == 200
            assert not any(one.done() for one in asked)
        assert {one.result().status_code for one in asked} == {202, 429}


def test_two_who_ask_at_once_get_one_comparison(api: Served, pair: tuple[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: look(api, *pair), range(8)))
    assert {answer.status_code for answer in found} == {202}
    assert (len(rows(api)), len(jobs_of(api))) == (1, 1)
