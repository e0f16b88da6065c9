"""Evaluations: asked for, asked for twice, followed, cancelled, listed."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from records import flow
from records.db import NOW, Database
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Origin,
    Worker,
)
from records.repositories import jobs
from records.settings import Settings
from tests.patience import DEADLINE_S, until
from tests.served import Served, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import declare, noise, num_rows, num_waiting, problem_of, put
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.protocols import PROTOCOLS


@pytest.fixture
def checkpoint(api: Served) -> str:
    """A checkpoint that was read."""
    with api.database.session() as session:
        return str(ready_checkpoint(session).id)


@pytest.fixture
def dataset(api: Served) -> str:
    """A dataset that was indexed."""
    with api.database.session() as session:
        return ready_dataset(session).name


def ask(client: httpx.Client, checkpoint: str, dataset: str = "gestures", **more: str) -> httpx.Response:
    body = {"checkpoint": checkpoint, "dataset": dataset, "protocol": "quick-v1", **more}
    return client.post("/v1/evaluations", json=body)


def plans(api: Served) -> list[tuple[UUID | None, JobState]]:
    with api.database.session() as session:
        query = select(Job).where(Job.kind == JobKind.PLAN).order_by(Job.created_at)
        return [(job.evaluation_id, job.state) for job in session.scalars(query)]


def end(api: Served, evaluation_id: str, state: EvaluationState, reason: str | None = None) -> None:
    with api.database.session() as session:
        flow.lock(session)
        evaluation = session.get_one(Evaluation, UUID(evaluation_id))
        if state is EvaluationState.FAILED:
            flow.fail(session, evaluation, VcpbenchError(reason or "it went wrong"), "the log's last lines")
        else:
            flow.scored(session, evaluation)


def test_an_evaluation_is_taken_with_its_numbers_frozen(api: Served, checkpoint: str, dataset: str) -> None:
    answer = ask(api.client, checkpoint)
    found = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/evaluations/{found['id']}"
    assert found["state"] == "planning"
    assert found["checkpoint"]["model"] == "tiny"
    assert found["dataset"] == {"name": dataset, "fingerprint": "fingerprint of gestures"}
    assert found["protocol"]["name"] == "quick-v1"
    assert plans(api) == [(UUID(found["id"]), JobState.QUEUED)]
    assert api.client.get(f"/v1/evaluations/{found['id']}").json() == found


def test_a_checkpoint_is_asked_for_by_its_models_name_or_its_protocol_by_hash(
    api: Served, checkpoint: str, dataset: str
) -> None:
    first = ask(api.client, "tiny@latest").json()
    assert first["checkpoint"]["id"] == checkpoint
    assert ask(api.client, "tiny").json()["id"] == first["id"]
    assert ask(api.client, checkpoint, protocol=first["protocol"]["hash"]).json()["id"] == first["id"]
    assert "latest" in problem_of(ask(api.client, "tiny@3"), 404)["detail"]
    with api.client_of("others") as client:
        problem_of(ask(client, "tiny@latest"), 404)
        problem_of(ask(client, checkpoint), 404)
    with api.client_of("operators", admin=True) as client:
        assert ask(client, checkpoint).status_code == 200


def test_a_leak_is_told_of_results_from_before_it_could_be_seen(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, "ucf101-2", own_name="ucf101")
        asked = {
            text: str(done(session, ready_checkpoint(session, pretrained_on=text), dataset, {}).id)
            for text in ("ucf101:1", "ucf101:2", "UCF101 full", "kinetics400")
        }
    told = {
        text: api.client.get(f"/v1/evaluations/{evaluation_id}").json()["warnings"]
        for text, evaluation_id in asked.items()
    }
    assert told["ucf101:1"] == told["kinetics400"] == []  # split 1, which these rows have
    assert ["split 2 of ucf101, which holds test videos of split 1" in said for said in told["ucf101:2"]] == [
        True
    ]
    assert ["UCF101 full" in said for said in told["UCF101 full"]] == [True]


def test_an_evaluation_belongs_to_its_checkpoints_team_whoever_asked(api: Served, dataset: str) -> None:
    with api.database.session() as session:
        theirs = str(ready_checkpoint(session, team="others").id)
    with api.client_of("others") as client:
        asked = ask(api.client, theirs).json()["id"]
        assert client.post(f"/v1/evaluations/{asked}/cancel").json()["state"] == "cancelled"


def test_a_checkpoint_without_its_bytes_cannot_be_evaluated(api: Served, dataset: str) -> None:
    declared = declare(api.client, noise(10))
    detail = problem_of(ask(api.client, declared["id"]), 409)["detail"]
    assert f"/v1/checkpoints/{declared['id']}/content" in detail
    put(api.client, declared["id"], noise(10))
    answer = ask(api.client, declared["id"])
    assert (answer.status_code, answer.json()["state"]) == (201, "waiting")
    assert plans(api) == []


def test_a_rejected_checkpoint_cannot_be_evaluated(api: Served, dataset: str) -> None:
    with api.database.session() as session:
        found = ready_checkpoint(
            session, state=CheckpointState.REJECTED, reason=VcpbenchError("no backbone fits")
        )
    assert "no backbone fits" in problem_of(ask(api.client, str(found.id)), 409)["detail"]
    problem_of(ask(api.client, "tiny@latest"), 404)


def test_unknown_things_cannot_be_evaluated(api: Served, checkpoint: str, dataset: str) -> None:
    unknown = str(uuid4())
    assert unknown in problem_of(ask(api.client, unknown), 404)["detail"]
    assert "'nobody'" in problem_of(ask(api.client, "nobody@latest"), 404)["detail"]
    assert "'gestures'" in problem_of(ask(api.client, checkpoint, "gesture"), 404)["detail"]
    assert "'quick-v1'" in problem_of(ask(api.client, checkpoint, protocol="quick"), 404)["detail"]
    assert num_rows(api, Job) == 0


def test_the_same_evaluation_twice_is_the_one_that_is_there(
    api: Served, checkpoint: str, dataset: str
) -> None:
    first, second = ask(api.client, checkpoint), ask(api.client, checkpoint)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    end(api, first.json()["id"], EvaluationState.DONE)
    third = ask(api.client, checkpoint)
    assert (third.status_code, third.json()["id"], third.json()["state"]) == (200, first.json()["id"], "done")
    assert ask(api.client, checkpoint, protocol="standard-v1").status_code == 201


def test_the_same_videos_under_another_name_are_not_evaluated_again(
    api: Served, checkpoint: str, dataset: str
) -> None:
    with api.database.session() as session:
        ready_dataset(session, "same", "fingerprint of gestures")
        ready_dataset(session, "other")
    first = ask(api.client, checkpoint).json()["id"]
    assert ask(api.client, checkpoint, "same").json()["id"] == first
    assert ask(api.client, checkpoint, "other").json()["id"] != first


def test_after_a_failure_or_a_cancel_it_is_evaluated_anew(api: Served, checkpoint: str, dataset: str) -> None:
    first = ask(api.client, checkpoint).json()["id"]
    end(api, first, EvaluationState.FAILED, "the disk of the worker is full")
    found = api.client.get(f"/v1/evaluations/{first}").json()
    assert (found["state"], found["reason"]) == ("failed", "the disk of the worker is full")
    assert found["log_tail"] == "the log's last lines"
    with api.client_of("default") as owner:  # a log may hold any path of the operators
        found = owner.get(f"/v1/evaluations/{first}").json()
        assert (found["reason"], found["log_tail"]) == ("the disk of the worker is full", None)
    with api.client_of("others") as others:
        assert others.get(f"/v1/evaluations/{first}").json()["log_tail"] is None
        assert others.get("/v1/evaluations").json()["items"][0]["log_tail"] is None
        assert "last lines" not in others.get(f"/evaluations/{first}", headers={"Accept": "text/html"}).text
    assert "last lines" in api.client.get(f"/evaluations/{first}", headers={"Accept": "text/html"}).text
    second = ask(api.client, checkpoint)
    assert (second.status_code, second.json()["id"] != first) == (201, True)
    cancelled = api.client.post(f"/v1/evaluations/{second.json()['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    third = ask(api.client, checkpoint)
    assert third.status_code == 201
    assert [state for _, state in plans(api)] == [JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED]


def test_many_that_ask_at_once_get_one_evaluation(api: Served, checkpoint: str, dataset: str) -> None:
    barrier = threading.Barrier(8)

    def one(_: int) -> httpx.Response:
        with api.client_of("default") as client:
            barrier.wait()
            return ask(client, checkpoint)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert (
        len({answer.json()["id"] for answer in answers}) == num_rows(api, Evaluation) == len(plans(api)) == 1
    )


def test_many_that_ask_for_a_built_in_dataset_at_once_index_it_once(api: Served, checkpoint: str) -> None:
    barrier = threading.Barrier(6)

    def one(_: int) -> httpx.Response:
        with api.client_of("default") as client:
            barrier.wait()
            return ask(client, checkpoint, "playground-64")

    assert api.client.get("/v1/datasets/playground-64").json()["state"] == "available"
    with ThreadPoolExecutor(6) as pool:
        assert {answer.json()["state"] for answer in pool.map(one, range(6))} == {"waiting"}
    assert num_rows(api, Evaluation) == num_rows(api, DatasetRow) == num_rows(api, Job) == 1
    assert api.client.get("/v1/datasets/playground-64").json()["state"] == "indexing"


def test_only_its_team_or_an_administrator_cancels_an_evaluation(
    api: Served, checkpoint: str, dataset: str
) -> None:
    asked = ask(api.client, checkpoint).json()["id"]
    with api.client_of("others") as client:
        assert "'default'" in problem_of(client.post(f"/v1/evaluations/{asked}/cancel"), 403)["detail"]
    assert api.client.get(f"/v1/evaluations/{asked}").json()["state"] == "planning"
    with api.client_of("operators", admin=True) as client:
        assert client.post(f"/v1/evaluations/{asked}/cancel").json()["state"] == "cancelled"
    assert api.client.post(f"/v1/evaluations/{asked}/cancel").json()["state"] == "cancelled"  # as it is


def test_a_control_that_two_teams_share_is_cancelled_by_neither(api: Served, dataset: str) -> None:
    asked = []
    for team in ("one", "two"):
        with api.database.session() as session:
            found = str(ready_checkpoint(session, team=team).id)
        with api.client_of(team) as client:
            asked.append(UUID(ask(client, found).json()["id"]))
    with api.database.session() as session:
        flow.lock(session)
        weights = Checkpoint(origin=Origin.CONTROL, state=CheckpointState.READY, backbone="r3d_tiny", seed=0)
        session.add(weights)
        session.flush()
        mine, theirs = (session.get_one(Evaluation, one) for one in asked)
        (control,), _ = flow.find_or_create_all(
            session, [weights.id], mine.dataset, mine.protocol_hash, team="one", is_control=True
        )
        for parent in (mine, theirs):
            flow.planned(session, parent, [], [control])
        path = f"/v1/evaluations/{control.id}/cancel"
    for team in ("one", "two", "default"):  # whoever asked first, the other, an administrator
        with api.client_of(team, admin=team == "default") as client:
            assert "is a control" in problem_of(client.post(path), 409)["detail"]
    for one in asked:
        assert api.client.get(f"/v1/evaluations/{one}").json()["state"] == "running"
    with api.client_of("one") as client:
        assert client.post(f"/v1/evaluations/{asked[0]}/cancel").json()["state"] == "cancelled"
    assert api.client.get(f"/v1/evaluations/{asked[1]}").json()["state"] == "running"


@pytest.mark.parametrize("state", [EvaluationState.DONE, EvaluationState.FAILED])
def test_what_has_ended_cannot_be_cancelled(
    api: Served, checkpoint: str, dataset: str, state: EvaluationState
) -> None:
    asked = ask(api.client, checkpoint).json()["id"]
    end(api, asked, state)
    assert state.value in problem_of(api.client.post(f"/v1/evaluations/{asked}/cancel"), 409)["detail"]


def test_results_come_when_it_is_done(api: Served, checkpoint: str, dataset: str) -> None:
    asked = ask(api.client, checkpoint).json()["id"]
    assert "planning" in problem_of(api.client.get(f"/v1/evaluations/{asked}/results"), 409)["detail"]
    end(api, asked, EvaluationState.FAILED, "the disk was full")
    assert (
        "the disk was full" in problem_of(api.client.get(f"/v1/evaluations/{asked}/results"), 409)["detail"]
    )


def test_lists_are_filtered_and_paged(api: Served) -> None:
    with api.database.session() as session:
        gestures, sports = ready_dataset(session), ready_dataset(session, "sports")
        mine, theirs = ready_checkpoint(session, "a", step=1), ready_checkpoint(session, "b", team="others")
        done(session, mine, gestures, {"recognition.top1": 50.0})
        done(session, mine, sports, {"recognition.top1": 60.0})
        done(session, theirs, gestures, {"recognition.top1": 70.0})
        control = done(session, theirs, sports, {"recognition.top1": 9.0})
        control.is_control = True
        checkpoint, fingerprint = str(mine.id), sports.fingerprint
    ask(api.client, checkpoint, "gestures", protocol="standard-v1")

    def found(**query: Any) -> list[tuple[str, str, list[float]]]:
        page = api.client.get("/v1/evaluations", params=query).json()
        assert page["total"] >= len(page["items"])
        return [
            (item["checkpoint"]["model"], item["dataset"]["name"], [one["value"] for one in item["scores"]])
            for item in page["items"]
        ]

    newest = [
        ("a", "gestures", []),
        ("b", "gestures", [70.0]),
        ("a", "sports", [60.0]),
        ("a", "gestures", [50.0]),
    ]
    assert found() == newest
    assert found(limit=2, offset=1) == newest[1:3]
    assert found(offset=9) == []
    assert found(state="done") == newest[1:]
    assert found(model="b") == found(team="others") == [newest[1]]
    assert found(dataset="sports") == found(dataset=fingerprint) == [newest[2]]
    standard = PROTOCOLS["standard-v1"]
    assert found(protocol=standard.name) == found(protocol=standard.hash) == [newest[0]]
    assert found(checkpoint=checkpoint, state="done", dataset="gestures") == [newest[3]]
    assert found(model="nobody") == []
    assert api.client.get("/v1/evaluations", params={"limit": 1}).json()["total"] == 4


def test_what_nobody_works_at_says_so(api: Served, checkpoint: str, dataset: str) -> None:
    asked = ask(api.client, checkpoint).json()
    assert asked["waiting_for"] == (
        "the evaluation waits to be planned: "
        "no worker takes the cpu queue, where 1 job waits; start one: vcpbench worker"
    )
    assert asked["progress"]["stage"] == "waiting"
    with api.database.session() as session:
        lacking = {"landlock": "Function not implemented"}
        session.add(Worker(name="host:1", queues=["cpu"], device="cpu", seen_at=NOW, lacking_walls=lacking))
        jobs.enqueue(session, JobKind.CALIBRATE, team=None, checkpoint_id=UUID(checkpoint))  # not its own
    assert api.client.get(f"/v1/evaluations/{asked['id']}").json()["waiting_for"] is None
    status = api.client.get("/v1/status").json()
    assert status["queues"][0] == {"name": "cpu", "waiting": 1, "running": 0, "workers": 1}
    assert status["workers"][0]["busy"] is False
    assert status["workers"][0]["lacking_walls"] == lacking
    text = api.client.get("/v1/metrics").text
    assert 'vcpbench_jobs{queue="cpu",state="waiting"} 1.0' in text
    (oldest,) = re.findall(r'vcpbench_oldest_job_seconds{queue="cpu"} (.+)', text)
    assert 0 < float(oldest) < DEADLINE_S
    assert 'vcpbench_oldest_job_seconds{queue="gpu"}' in text


def test_requests_are_counted_by_route_and_not_by_address(api: Served) -> None:
    for number in range(3):
        api.client.get(f"/v1/evaluations/{UUID(int=number)}")
        api.client.get(f"/v1/nothing-{number}")
    text = api.client.get("/v1/metrics").text
    counted = dict(re.findall(r"vcpbench_request_seconds_count({.+}) (.+)", text))
    route = "/v1/evaluations/{evaluation_id}"
    assert counted[f'{{method="GET",route="{route}",status="4xx"}}'] == "3.0"
    assert counted['{method="unknown",route="unknown",status="4xx"}'] == "3.0"
    assert "nothing" not in text


@pytest.fixture
def silent(settings: Settings) -> Iterator[Served]:
    """An installation whose broker is away."""
    nowhere = SecretStr("redis://127.0.0.1:1/0")
    with serve(settings.model_copy(update={"broker_url": nowhere})) as served:
        yield served


def test_with_the_broker_down_an_evaluation_is_taken_at_once(silent: Served) -> None:
    with silent.database.session() as session:
        ready_dataset(session)
        checkpoint = str(ready_checkpoint(session).id)
    for protocol in ("quick-v1", "standard-v1"):
        began = time.monotonic()
        assert ask(silent.client, checkpoint, protocol=protocol).status_code == 201
        assert time.monotonic() - began < 20  # not as long as kombu would try; a busy machine takes its time
    assert [state for _, state in plans(silent)] == [JobState.QUEUED] * 2


def test_with_a_broker_that_does_not_answer_an_evaluation_is_taken_soon(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        url = SecretStr(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        with serve(settings.model_copy(update={"broker_url": url})) as served:
            with served.database.session() as session:
                ready_dataset(session)
                checkpoint = str(ready_checkpoint(session).id)
            began = time.monotonic()
            assert ask(served.client, checkpoint).status_code == 201
            assert time.monotonic() - began < 20
            assert [state for _, state in plans(served)] == [JobState.QUEUED]


def test_sixty_writes_that_wait_for_one_lock_are_all_answered(
    api: Served, database: Database, checkpoint: str, dataset: str
) -> None:
    with ThreadPoolExecutor(60) as pool:
        with database.session() as blocker:
            flow.lock(blocker)
            asked = [pool.submit(ask, api.client, checkpoint, dataset) for _ in range(60)]
            until(lambda: num_waiting(database) == 40)  # one for each thread of the service
        statuses = [one.result().status_code for one in asked]
    assert sorted(statuses) == [200] * 59 + [201]
