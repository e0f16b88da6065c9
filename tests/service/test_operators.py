"""What administrators do by hand: jobs listed, done again, cancelled and purged; pauses; workers drained."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from records import flow
from records.db import NOW
from records.models import (
    Checkpoint,
    Comparison,
    ComparisonState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Media,
    MediaState,
    Role,
)
from records.repositories import jobs, media, operating
from records.repositories.media import Group
from tests.crew import Crew
from tests.patience import until
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.service.kit import in_thread, noise, num_waiting, problem_of
from tests.signed_in import sign_in

INGEST, INDEX, PLAN, EXTRACT, SCORE = (
    JobKind.INGEST,
    JobKind.INDEX,
    JobKind.PLAN,
    JobKind.EXTRACT,
    JobKind.SCORE,
)
Json = dict[str, Any]


@pytest.fixture
def crew(api: Served) -> Crew:
    return Crew(api.database, shards=1)


@pytest.fixture
def evaluation(api: Served) -> str:
    """An evaluation that waits for its plan."""
    with api.database.session() as session:
        ready_dataset(session)
        checkpoint = ready_checkpoint(session)
    return ask(api.client, str(checkpoint.id))


def ask(client: httpx.Client, checkpoint: str, **more: Any) -> str:
    body = {"checkpoint": checkpoint, "dataset": "gestures", "protocol": "quick-v1", **more}
    answer = client.post("/v1/evaluations", json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def upload(client: httpx.Client, seed: int = 0) -> str:
    answer = client.put("/v1/checkpoints/upload", params={"model": "tiny"}, content=noise(10, seed))
    return str(answer.json()["id"])


def listed(api: Served, **query: Any) -> list[Json]:
    answer = api.client.get("/v1/admin/queue", params=query).raise_for_status().json()
    assert answer["total"] >= len(answer["items"])
    return list(answer["items"])


def act(api: Served, what: str, thing: object) -> httpx.Response:
    return api.client.post(f"/v1/admin/{what}", json={"id": str(thing)})


def state_of(api: Served, evaluation: object) -> str:
    return str(api.client.get(f"/v1/evaluations/{evaluation}").json()["state"])


# --- what is listed ---


def test_jobs_are_listed_with_what_they_are_about_running_ones_first(
    api: Served, crew: Crew, evaluation: str
) -> None:
    with api.client_of("vision") as vision:
        checkpoint = upload(vision)
    claim = crew.claim()
    assert claim.kind is PLAN
    crew.tell(claim, 1, 4)
    running, waiting = listed(api)
    assert running["state"] == "running"
    assert running["subject"] == "default/tiny on gestures"
    assert running["evaluation"] == evaluation
    assert (running["worker"], running["done"], running["total"]) == ("host:1", 1, 4)
    assert (waiting["kind"], waiting["state"], waiting["team"]) == ("ingest", "queued", "vision")
    assert (waiting["subject"], waiting["checkpoint"]) == ("vision/tiny", checkpoint)
    assert waiting["age_s"] >= 0
    crew.crash(claim, "out of memory")
    (retried,) = listed(api, kind="plan")
    assert (retried["attempts"], retried["error"]) == (1, "out of memory")
    assert retried["not_before"] is not None
    assert [one["team"] for one in listed(api, team="vision")] == ["vision"]
    assert listed(api, queue="gpu") == listed(api, state="failed") == []
    assert len(listed(api, limit=1)) == 1
    problem_of(api.client.get("/v1/admin/queue", params={"kind": "plna"}), 422)


def test_workers_are_listed_with_their_jobs(api: Served, crew: Crew, evaluation: str) -> None:
    busy, idle = crew.worker("cpu"), crew.worker("gpu")
    crew.claim(busy)
    found = {one["id"]: one for one in api.client.get("/v1/admin/workers").json()["workers"]}
    assert found[str(busy)]["job"]["evaluation"] == evaluation
    assert found[str(busy)]["job"]["started_at"] is not None
    assert found[str(idle)]["job"] is None
    assert found[str(idle)]["draining_since"] is None


# --- paused and drained ---


def test_a_pause_is_told_to_all_who_wait_and_requests_go_on(api: Served, crew: Crew, evaluation: str) -> None:
    crew.worker("cpu", "gpu")
    why = {"why": " The GPUs get new drivers. "}
    paused = api.client.put("/v1/admin/pauses/cpu", json=why).json()
    assert (paused["what"], paused["why"], paused["by"]) == ("cpu", "The GPUs get new drivers.", "test")
    with api.client_of("vision") as vision:
        assert vision.get("/v1/status").json()["pauses"] == [paused]
        upload(vision)
    said = api.client.get(f"/v1/evaluations/{evaluation}").json()["waiting_for"]
    assert said.startswith("the evaluation waits to be planned: the cpu queue is paused by test since 20")
    assert said.endswith("UTC: The GPUs get new drivers.")
    page = api.client.get(f"/evaluations/{evaluation}", headers={"Accept": "text/html"}).text
    assert "paused by test" in page
    assert {one["paused"] for one in listed(api)} == {True}
    later = api.client.put("/v1/admin/pauses/cpu", json={"why": "Until noon."}).json()
    assert [one["why"] for one in api.client.get("/v1/status").json()["pauses"]] == ["Until noon."]
    assert api.client.delete("/v1/admin/pauses/cpu").json() == later
    assert "not paused" in problem_of(api.client.delete("/v1/admin/pauses/cpu"), 404)["detail"]
    assert api.client.get(f"/v1/evaluations/{evaluation}").json()["waiting_for"] is None


def test_what_is_no_queue_and_no_kind_cannot_be_paused(api: Served) -> None:
    found = problem_of(api.client.put("/v1/admin/pauses/gpus", json={"why": "x"}), 404)
    assert "Did you mean 'gpu'?" in found["detail"]
    problem_of(api.client.put("/v1/admin/pauses/gpu", json={"why": " "}), 422)


def test_a_worker_is_drained_by_name_or_id_and_goes_on_again(
    api: Served, crew: Crew, evaluation: str
) -> None:
    worker = crew.worker("cpu")
    drained = api.client.patch("/v1/admin/workers/host:1", json={"draining": True}).json()
    assert (drained["id"], drained["drained_by"]) == (str(worker), "test")
    assert drained["draining_since"] is not None
    assert [one["draining"] for one in api.client.get("/v1/status").json()["workers"]] == [True]
    waits = api.client.get(f"/v1/evaluations/{evaluation}").json()["waiting_for"]
    assert "no worker takes the cpu queue" in waits
    path = f"/v1/admin/workers/{str(worker)[:8]}"
    again = api.client.patch(path, json={"draining": False}).json()
    assert (again["draining_since"], again["drained_by"]) == (None, None)
    found = problem_of(api.client.patch("/v1/admin/workers/host:2", json={"draining": True}), 404)
    assert "host:1" in found["detail"]
    crew.worker("cpu")
    problem_of(api.client.patch("/v1/admin/workers/host:1", json={"draining": True}), 409)


# --- done again ---


def test_a_checkpoint_whose_reading_failed_is_read_again_and_its_evaluations_are_asked_for_again(
    api: Served, crew: Crew
) -> None:
    with api.database.session() as session:
        ready_dataset(session)
    checkpoint = upload(api.client)
    first = ask(api.client, checkpoint)
    claim = crew.claim()
    crew.crash(claim, pause=False)
    crew.fail(crew.claim(), "no backbone has these keys")
    assert state_of(api, first) == "failed"
    (failed,) = listed(api, state="failed")
    assert (failed["attempts"], failed["error"]) == (1, "no backbone has these keys")
    change = act(api, "requeue", failed["id"][:8]).json()
    assert (change["kind"], change["job"]) == ("job", failed["id"])
    ((second, state),) = change["evaluations"].items()
    assert (second != first, state) == (True, "waiting")
    assert api.client.get(f"/v1/checkpoints/{checkpoint}").json()["state"] == "ingesting"
    (job,) = listed(api)
    assert (job["id"], job["attempts"], job["error"], job["not_before"]) == (failed["id"], 0, None, None)
    twice = act(api, "requeue", failed["id"]).json()  # it waits: nothing is doubled
    assert (twice["job"], twice["evaluations"]) == (failed["id"], {})
    crew.do(INGEST, PLAN, EXTRACT, SCORE)
    assert state_of(api, second) == "done"
    assert "done" in problem_of(act(api, "requeue", failed["id"]), 409)["detail"]


def test_a_checkpoint_that_was_uploaded_again_meanwhile_is_not_read_twice(api: Served, crew: Crew) -> None:
    first = upload(api.client)
    crew.fail(crew.claim(), "no backbone has these keys")
    second = upload(api.client)
    assert first != second
    found = problem_of(act(api, "requeue", first), 409)
    assert second in found["detail"]


def test_an_evaluation_is_asked_for_again_and_only_once(api: Served, crew: Crew, evaluation: str) -> None:
    crew.fail(crew.claim(), "too many clips")
    both = [in_thread(lambda: act(api, "requeue", evaluation)) for _ in range(2)]
    changes = [one().json()["evaluations"] for one in both]
    assert changes[0] == changes[1]
    ((second, state),) = changes[0].items()
    assert (second != evaluation, state) == (True, "planning")
    assert state_of(api, evaluation) == "failed"  # what ended never changes
    with api.database.session() as session:
        assert len(session.scalars(select(Evaluation)).unique().all()) == 2
    assert "planning" in problem_of(act(api, "requeue", second), 409)["detail"]


def test_a_failed_job_of_an_evaluation_brings_all_back_that_failed_for_want_of_it(
    api: Served, crew: Crew, evaluation: str
) -> None:
    crew.controls = (7,)
    crew.do(PLAN)
    (calibrate,) = listed(api, kind="calibrate")
    claim = crew.claim()
    while claim.kind is not JobKind.CALIBRATE:
        crew.finish(claim)
        claim = crew.claim()
    crew.fail(claim, "the weights are not finite")
    assert state_of(api, evaluation) == "failed"
    change = act(api, "requeue", calibrate["id"]).json()
    assert change["job"] is None  # the next evaluation calibrates other weights
    assert list(change["evaluations"].values()) == ["planning"]
    assert evaluation not in change["evaluations"]


def test_a_job_that_waits_after_failed_attempts_is_tried_at_once(
    api: Served, crew: Crew, evaluation: str
) -> None:
    crew.crash(crew.claim())
    (job,) = listed(api)
    assert job["not_before"] is not None
    assert act(api, "requeue", job["id"]).json()["job"] == job["id"]
    (job,) = listed(api)
    assert (job["attempts"], job["not_before"]) == (0, None)
    claim = crew.claim()
    assert "running" in problem_of(act(api, "requeue", job["id"]), 409)["detail"]
    crew.finish(claim)


def test_a_comparison_and_previews_that_failed_are_made_again(api: Served, crew: Crew) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        ids = [
            str(done(session, ready_checkpoint(session, name), dataset, {HEADLINE: 50.0}).id)
            for name in ("one", "two")
        ]
        geometry, videos = "resize=128x171,crop=112", str(dataset.fingerprint)
        group = Group(fingerprint=videos, geometry=geometry, protocol_hash="", number=0)
        media.make(session, group, dataset.id, team="default")
    api.client.get("/v1/comparisons", params={"first": ids[0], "second": ids[1]})
    for _ in range(2):
        crew.fail(crew.claim(), "killed")
    failed = listed(api, state="failed")
    assert {one["kind"] for one in failed} == {"compare", "media"}
    for one in failed:
        assert act(api, "requeue", one["id"]).json()["job"] == one["id"]
    with api.database.session() as session:
        assert session.scalars(select(Comparison.state)).all() == [ComparisonState.WAITING]
        assert session.scalars(select(Media.state)).all() == [MediaState.MAKING]
    assert {one["state"] for one in listed(api)} == {"queued"}


# --- cancelled ---


def test_a_cancelled_job_fails_what_needs_it_and_its_worker_writes_nothing(
    api: Served, crew: Crew, evaluation: str
) -> None:
    crew.do(PLAN)
    claim = crew.claim()
    assert claim.kind is EXTRACT
    change = act(api, "cancel", claim.job_id).json()
    assert change["evaluations"] == {evaluation: "failed"}
    found = api.client.get(f"/v1/evaluations/{evaluation}").json()
    assert found["reason"] == "an administrator (test) cancelled it"
    with api.database.session() as session:
        assert not jobs.renew(session, claim, lease_s=60)
        assert not jobs.finish(session, claim)
    assert "cancelled" in problem_of(act(api, "cancel", claim.job_id), 409)["detail"]
    assert list(act(api, "requeue", claim.job_id).json()["evaluations"].values()) == ["planning"]


def test_what_just_ended_cannot_be_cancelled(api: Served, crew: Crew, evaluation: str) -> None:
    claim = crew.claim()
    with api.database.session() as session:
        flow.lock(session)
        assert jobs.finish(session, claim)
        cancelled = in_thread(lambda: act(api, "cancel", claim.job_id))
        until(lambda: num_waiting(api.database) == 1)
    found = problem_of(cancelled(), 409)
    assert "done already" in found["detail"]
    with api.database.session() as session:
        assert session.get_one(Job, claim.job_id).state is JobState.DONE
    assert state_of(api, evaluation) == "planning"


def test_a_worker_that_ends_just_after_the_cancel_has_lost_the_job(
    api: Served, crew: Crew, evaluation: str
) -> None:
    claim = crew.claim()

    def finish() -> bool:
        with api.database.session() as session:
            flow.lock(session)
            return jobs.finish(session, claim)

    with api.database.session() as session:
        flow.lock(session)
        finished = in_thread(finish)
        until(lambda: num_waiting(api.database) == 1)
        job = session.get_one(Job, claim.job_id)
        assert operating.cancel(session, job, flow.UNWANTED)
        flow.job_failed(session, job)
    assert not finished()
    assert state_of(api, evaluation) == "failed"


def test_a_checkpoint_is_cancelled_with_all_work_for_it(api: Served, crew: Crew, evaluation: str) -> None:
    ready = api.client.get(f"/v1/evaluations/{evaluation}").json()["checkpoint"]["id"]
    assert act(api, "cancel", ready).json()["evaluations"] == {evaluation: "cancelled"}
    assert "nothing to cancel" in problem_of(act(api, "cancel", ready), 409)["detail"]
    checkpoint = upload(api.client, seed=3)
    waiting = ask(api.client, checkpoint)
    change = act(api, "cancel", checkpoint).json()
    assert (change["kind"], change["evaluations"]) == ("checkpoint", {waiting: "failed"})
    found = api.client.get(f"/v1/checkpoints/{checkpoint}").json()
    assert (found["state"], found["reason"]) == ("rejected", "an administrator (test) cancelled it")
    assert act(api, "requeue", checkpoint).json()["job"] == change["job"]
    assert api.client.get(f"/v1/checkpoints/{checkpoint}").json()["state"] == "ingesting"


def test_an_evaluation_is_cancelled_and_a_control_is_not(api: Served, crew: Crew, evaluation: str) -> None:
    crew.controls = (7,)
    crew.do(PLAN)
    with api.database.session() as session:
        control = session.scalars(select(Evaluation.id).where(Evaluation.is_control)).one()
    assert "is a control" in problem_of(act(api, "cancel", control), 409)["detail"]
    assert act(api, "cancel", evaluation).json()["evaluations"] == {evaluation: "cancelled"}
    problem_of(act(api, "requeue", control), 409)


def test_an_id_of_nothing_and_one_that_means_several_things_are_refused(api: Served, crew: Crew) -> None:
    for what in ("cancel", "requeue"):
        assert "admin/queue" in problem_of(act(api, what, "0000beef"), 404)["detail"]
        assert "names no job" in problem_of(act(api, what, "mine@latest"), 422)["detail"]
    with api.database.session() as session:
        for number in (1, 2):
            row = ready_checkpoint(session, f"model-{number}")
            twin = UUID(f"abcdef01-0000-4000-8000-00000000000{number}")
            session.execute(update(Checkpoint).where(Checkpoint.id == row.id).values(id=twin))
    found = problem_of(act(api, "cancel", "abcdef01"), 409)
    assert len(found["candidates"]) == 2


# --- priorities ---


def priorities(api: Served) -> dict[str, int]:
    return {one["evaluation"] or one["kind"]: one["priority"] for one in listed(api)}


def test_what_a_gate_waits_for_is_taken_first_as_long_as_few_gates_do(api: Served, crew: Crew) -> None:
    with api.database.session() as session:
        ready_dataset(session)
        ids = [str(ready_checkpoint(session, f"model-{number}").id) for number in range(6)]
    usual = ask(api.client, ids[0])
    gates = [ask(api.client, one, for_gate=True) for one in ids[1:]]
    assert priorities(api) == {usual: 0, **dict.fromkeys(gates[:4], 1), gates[4]: 0}
    assert str(crew.claim().subject_id) == gates[0]
    assert ask(api.client, ids[0], for_gate=True) == usual  # no gate has ended, so it is not hurried either
    api.client.post(f"/v1/evaluations/{gates[0]}/cancel")
    assert ask(api.client, ids[0], for_gate=True) == usual
    assert priorities(api)[usual] == 1


def test_an_administrator_sets_the_priority_of_an_evaluation_its_controls_and_its_shards(
    api: Served, crew: Crew, evaluation: str
) -> None:
    crew.controls = (7,)
    crew.do(PLAN)
    with api.database.session() as session:
        other = str(ready_checkpoint(session, "other").id)
    second = ask(api.client, other)
    crew.controls = (7,)

    def put(which: str, level: str) -> httpx.Response:
        return api.client.put(f"/v1/admin/evaluations/{which}/priority", json={"priority": level})

    assert put(evaluation, "low").json()["priority"] == -1
    before = {one["kind"]: one["priority"] for one in listed(api)}
    assert before == {"extract": -1, "calibrate": -1, "plan": 0}
    crew.do(PLAN)  # of the second evaluation, which shares the control
    with api.database.session() as session:
        jobs_of = {job.id: job for job in session.scalars(select(Job)).all()}
    shared = next(job for job in jobs_of.values() if job.kind is JobKind.CALIBRATE)
    assert shared.priority == 0  # the second evaluation waits for it, too
    assert put(second, "high").json()["priority"] == 1
    assert put(evaluation, "low").json()["priority"] == -1
    with api.database.session() as session:
        assert session.get_one(Job, shared.id).priority == 1
    assert put(second[:8], "usual").json()["priority"] == 0
    problem_of(put(second, "highest"), 422)
    api.client.post(f"/v1/evaluations/{second}/cancel")
    assert "cancelled" in problem_of(put(second, "high"), 409)["detail"]


# --- purged ---


@pytest.fixture
def old(api: Served, crew: Crew, evaluation: str) -> str:
    """An evaluation that was done a hundred days ago, and a job that failed then."""
    crew.do(PLAN, EXTRACT, SCORE)
    upload(api.client)
    crew.fail(crew.claim(), "no checkpoint")
    with api.database.session() as session:
        past = {"finished_at": NOW - timedelta(days=100), "log_tail": "last words"}
        session.execute(update(Job).values(**past))
        session.execute(update(Evaluation).values(**past))
    return evaluation


def test_a_purge_removes_what_nothing_reads_any_more_and_a_dry_run_only_counts(
    api: Served, crew: Crew, old: str
) -> None:
    def purge(days: int, **more: bool) -> Json:
        return dict(api.client.post("/v1/admin/purge", json={"days": days, **more}).json())

    assert purge(101)["jobs"] == purge(101, dry_run=True)["logs"] == 0
    counted = purge(90, dry_run=True)
    assert (counted["logs"], counted["jobs"], counted["dry_run"]) == (5, 3, True)
    assert purge(90, dry_run=True) | {"before": 0} == counted | {"before": 0}
    found = purge(90)
    assert (found["logs"], found["jobs"], found["more"]) == (5, 3, False)
    assert purge(90)["jobs"] == 0
    with api.database.session() as session:
        left = session.scalars(select(Job)).all()
        assert [(one.kind, one.state, one.log_tail) for one in left] == [(EXTRACT, JobState.DONE, None)]
    assert state_of(api, old) == "done"
    assert api.client.get(f"/v1/evaluations/{old}").json()["progress"]["fraction"] == 1.0
    problem_of(api.client.post("/v1/admin/purge", json={"days": 0}), 422)
    assert purge(30.0, dry_run=True)["dry_run"]  # a whole number in JSON's eyes


def test_a_purge_leaves_jobs_of_what_is_under_way(api: Served, crew: Crew, evaluation: str) -> None:
    crew.do(PLAN)
    with api.database.session() as session:
        session.execute(update(Job).values(finished_at=NOW - timedelta(days=100)))
    assert api.client.post("/v1/admin/purge", json={"days": 1}).json()["jobs"] == 0
    crew.do(EXTRACT, SCORE)
    assert state_of(api, evaluation) == EvaluationState.DONE.value


# --- who is signed in ---


def sign_out(api: Served, person: object) -> httpx.Response:
    return api.client.post("/v1/admin/sign-out", json={"person": str(person)})


def test_sessions_that_open_something_are_listed_the_newest_first(api: Served) -> None:
    assert api.client.get("/v1/admin/sign-ins").json() == {"items": [], "total": 0}
    sign_in(api, "expired", hours=0)
    sign_in(api, "of another provider", issuer="https://old.example")
    sign_in(api, "of a role that no group has", team="audio", role=Role.ADMIN)
    ids = [str(sign_in(api, name)) for name in ("anna", "bo", "cy")]
    other = str(sign_in(api, "di", team="audio", role=Role.SUBMITTER))

    def listed(**query: Any) -> tuple[list[str], int]:
        found = api.client.get("/v1/admin/sign-ins", params=query).json()
        return [one["id"] for one in found["items"]], found["total"]

    assert listed() == ([other, *ids[::-1]], 4)
    assert listed(limit=2, offset=1) == ([ids[2], ids[1]], 4)
    assert listed(team="audio") == ([other], 1)
    problem_of(sign_out(api, "expired"), 404)
    problem_of(sign_out(api, "of another provider"), 404)


def test_who_is_signed_out_loses_every_session_and_others_of_that_name_lose_none(api: Served) -> None:
    sign_in(api, "Anna", subject="1")
    mine = sign_in(api, "Anna", subject="1")
    other = sign_in(api, "Anna", subject="2", team="audio", role=Role.SUBMITTER)
    problem = problem_of(sign_out(api, "Anna"), 409)
    assert str(other) in problem["detail"]
    assert sign_out(api, mine).json() == {"name": "Anna", "team": "vision", "sessions": 2}
    problem_of(sign_out(api, mine), 404)
    assert sign_out(api, str(other)[:8]).json()["team"] == "audio"
    entry = api.client.get("/v1/audit").json()["items"][0]
    assert entry["action"] == "POST /v1/admin/sign-out"
    assert entry["subject"] == {"person": str(other)[:8]}
