"""What is told of an evaluation while it is under way: how far it is, what is done, and why if nothing is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from records.db import Database
from records.models import DatasetRow, Evaluation, Job, JobKind, JobState
from records.repositories import jobs, media, queue
from records.repositories.jobs import Claim
from records.repositories.media import Group
from records.repositories.progress import progress
from records.repositories.visibility import EVERYTHING
from service.evaluations import waiting
from tests.crew import Crew
from tests.served import Served
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import noise

INGEST, INDEX, PLAN, EXTRACT = JobKind.INGEST, JobKind.INDEX, JobKind.PLAN, JobKind.EXTRACT
CALIBRATE, FIT, SCORE = JobKind.CALIBRATE, JobKind.FIT, JobKind.SCORE
ENDS = {"done", "failed", "cancelled"}


@pytest.fixture
def crew(api: Served) -> Crew:
    return Crew(api.database)


@pytest.fixture
def other(api: Served) -> Iterator[httpx.Client]:
    """Somebody of another team."""
    with api.client_of("others") as client:
        yield client


def upload(client: httpx.Client, seed: int = 0, model: str = "tiny") -> str:
    """A checkpoint that is still to be read."""
    answer = client.put("/v1/checkpoints/upload", params={"model": model}, content=noise(10, seed))
    return str(answer.json()["id"])


def ask(client: httpx.Client, checkpoint: str, dataset: str = "gestures") -> str:
    """Ask for an evaluation; its id."""
    body = {"checkpoint": checkpoint, "dataset": dataset, "protocol": "quick-v1"}
    answer = client.post("/v1/evaluations", json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def show(client: httpx.Client, evaluation_id: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/evaluations/{evaluation_id}").json())


def waits(client: httpx.Client, evaluation_id: str) -> str | None:
    """Why it waits, if it does; what else is told then agrees with it."""
    found = show(client, evaluation_id)
    why: str | None = found["waiting_for"]
    if why is not None:
        assert found["progress"]["stage"] == "waiting"
        assert found["progress"]["remaining_s"] is None
    return why


def ready(api: Served, team: str = "default", model: str = "tiny", **facts: Any) -> str:
    """A checkpoint that was read, and videos that were indexed."""
    with api.database.session() as session:
        if not api.client.get("/v1/datasets/gestures").is_success:
            ready_dataset(session)
        return str(ready_checkpoint(session, model, team=team, **facts).id)


# --- what waits, and for what ---


def test_a_job_that_a_free_worker_takes_at_once_does_not_wait(api: Served, crew: Crew) -> None:
    ready(api)
    asked = ask(api.client, upload(api.client))
    assert waits(api.client, asked) == (
        "the checkpoint waits to be read: "
        "no worker takes the cpu queue, where 1 job waits; start one: vcpbench worker"
    )
    crew.worker("cpu")
    assert waits(api.client, asked) is None
    assert show(api.client, asked)["progress"]["stage"] == "reading the checkpoint"


def test_what_the_only_worker_is_at_is_named_with_whom_it_is_for_since_when_and_how_far(
    api: Served, crew: Crew, other: httpx.Client
) -> None:
    worker = crew.worker("cpu")
    theirs = ask(other, ready(api, "others"), "playground-64")
    claim = crew.claim(worker)
    crew.tell(claim, 32, 64)
    crew.began(claim, 40)
    asked = ask(api.client, upload(api.client))
    said = waits(api.client, asked) or ""
    assert re.fullmatch(
        "the checkpoint waits to be read: the only worker for this is making the videos of playground-64 for "
        rf"evaluation {theirs[:8]} \(team others\), begun (4\d|\d\d+) (s|min) ago, 50 % done; it is next",
        said,
    ), said
    assert waits(other, theirs) is None
    assert show(other, theirs)["progress"]["stage"] == "making videos"


def test_jobs_that_come_before_are_counted(api: Served, crew: Crew, other: httpx.Client) -> None:
    worker = crew.worker("cpu")
    ready(api)
    upload(other, 1)
    crew.claim(worker)
    for seed in (2, 3):
        upload(api.client, seed)
    asked = ask(api.client, upload(api.client, 4))
    said = waits(api.client, asked)
    assert said is not None
    assert said.endswith("; 2 other jobs are before it")
    upload(other, 5)  # its team was served last, and comes after the first of ours
    assert (waits(api.client, asked) or "").endswith("; 3 other jobs are before it")


def test_an_upload_of_another_team_is_not_named_and_an_own_is(
    api: Served, crew: Crew, other: httpx.Client
) -> None:
    worker = crew.worker("cpu")
    ready(api)
    upload(other, 1, "secret")
    crew.claim(worker)
    with api.client_of("mine") as mine:
        asked = ask(mine, upload(mine, 2))
        assert "is reading another team's checkpoint, begun" in (waits(mine, asked) or "")
    assert "is reading a checkpoint of secret, begun" in (waits(other, asked) or "")
    assert "is reading a checkpoint of secret, begun" in (waits(api.client, asked) or "")  # an operator


def test_a_worker_that_makes_previews_is_named(api: Served, crew: Crew) -> None:
    worker = crew.worker("cpu")
    ready(api)
    with api.database.session() as session:
        dataset = session.scalars(select(DatasetRow)).one()
        group = Group(fingerprint=dataset.fingerprint or "", geometry="g", protocol_hash="", number=0)
        media.make(session, group, dataset.id, team=None)
    crew.claim(worker)
    asked = ask(api.client, upload(api.client))
    assert "the only worker for this is making previews, begun" in (waits(api.client, asked) or "")


def test_several_workers_are_all_busy(api: Served, crew: Crew, other: httpx.Client) -> None:
    ready(api)
    for seed in (1, 2):
        worker = crew.worker("cpu")
        upload(other, seed)
        crew.claim(worker)
    asked = ask(api.client, upload(api.client, 3))
    assert "all 2 workers for this are busy, one of them reading" in (waits(api.client, asked) or "")
    crew.worker("gpu")
    assert "all 2 workers for this" in (waits(api.client, asked) or "")
    crew.worker("cpu", "gpu")
    assert waits(api.client, asked) is None


def test_a_job_that_is_tried_again_later_says_when_and_to_its_own_team_why(
    api: Served, crew: Crew, other: httpx.Client
) -> None:
    worker = crew.worker("cpu", "gpu")
    asked = ask(api.client, ready(api))
    crew.do(PLAN)
    crew.crash(crew.claim(worker), "the process was killed; most likely memory ran out")
    crew.finish(crew.claim(worker))
    said = waits(api.client, asked)
    assert said is not None
    assert said.startswith("the clips wait to be forwarded: it is tried again in ")
    assert said.endswith(" s, after: the process was killed; most likely memory ran out")
    assert (waits(other, asked) or "").endswith("after: the last attempt failed")


def test_a_worker_that_fell_silent_is_no_work(api: Served, crew: Crew) -> None:
    worker = crew.worker("cpu", "gpu")
    asked = ask(api.client, ready(api))
    crew.claim(worker)
    assert show(api.client, asked)["progress"]["stage"] == "planning"
    crew.silence(worker)
    assert waits(api.client, asked) == (
        "the evaluation waits to be planned: no worker takes the cpu queue; start one: vcpbench worker"
    )
    upload(api.client)
    assert "no worker takes the cpu queue, where 1 job waits; start" in (waits(api.client, asked) or "")
    crew.worker("cpu")
    said = waits(api.client, asked) or ""
    assert said.startswith(
        "the evaluation waits to be planned: its worker fell silent, and another may take it in "
    )


def test_a_queue_that_nobody_takes_is_told_before_one_that_is_busy(api: Served, crew: Crew) -> None:
    crew.controls = (0,)
    worker = crew.worker("cpu")
    asked = ask(api.client, ready(api))
    crew.finish(crew.claim(worker, "cpu"))
    assert waits(api.client, asked) == (
        "the random weights wait to be calibrated: "
        "no worker takes the gpu queue, where 3 jobs wait; start one: vcpbench worker"
    )


# --- work that nobody waits for ---


def is_wanted(crew: Crew, claim: Claim) -> bool:
    """Whether the worker that has it is to go on."""
    with crew.database.session() as session:
        return jobs.renew(session, claim, lease_s=60)


def test_making_videos_ends_with_the_last_evaluation_that_waits_for_them_and_begins_anew_for_the_next(
    api: Served, crew: Crew
) -> None:
    first, second = (
        ask(api.client, upload(api.client, seed, f"m{seed}"), "playground-64") for seed in (1, 2)
    )
    crew.fail(crew.claim(), "no weights")  # the first checkpoint is rejected
    assert show(api.client, first)["state"] == "failed"
    claim = crew.claim()
    assert claim.kind is INDEX
    assert is_wanted(crew, claim)
    assert api.client.post(f"/v1/evaluations/{second}/cancel").json()["state"] == "cancelled"
    assert not is_wanted(crew, claim)
    with api.database.session() as session:
        assert session.get_one(Job, claim.job_id).state is JobState.CANCELLED
    assert api.client.get("/v1/datasets/playground-64").json()["state"] == "available"
    ready_id = ready(api, model="third")
    third = ask(api.client, ready_id, "playground-64")
    again = crew.claim()
    while again.kind is not INDEX:
        again = crew.claim()
    assert again.subject_id != claim.subject_id
    crew.finish(again)
    assert show(api.client, third)["state"] == "planning"


def test_a_dataset_that_somebody_registered_is_indexed_whoever_waits_for_it_until_it_is_retired(
    api: Served, crew: Crew
) -> None:
    body = {"name": "ours", "location": "/data/ours"}
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    claim = crew.claim()
    asked = ask(api.client, upload(api.client), "ours")
    api.client.post(f"/v1/evaluations/{asked}/cancel")
    assert is_wanted(crew, claim)
    assert api.client.delete("/v1/datasets/ours").status_code == 204
    assert not is_wanted(crew, claim)


# --- how far it is ---


def test_an_evaluations_way_is_told_stage_by_stage_and_its_share_only_grows(api: Served, crew: Crew) -> None:
    crew.controls = (0,)
    asked = ask(api.client, upload(api.client), "playground-64")
    told: list[dict[str, Any]] = []

    def look() -> None:
        told.append({**show(api.client, asked)["progress"], "state": show(api.client, asked)["state"]})

    def do(kind: JobKind, *, total: int = 10) -> None:
        claim = crew.claim()
        assert claim.kind is kind
        look()
        for done in (total // 2, total):
            crew.tell(claim, done, total)
            look()
        crew.finish(claim)
        look()

    for kind in (INGEST, INDEX, PLAN, CALIBRATE, EXTRACT, EXTRACT, PLAN, EXTRACT, EXTRACT, SCORE, SCORE):
        do(kind, total={CALIBRATE: 256}.get(kind, 10))
    stages = list(dict.fromkeys(one["stage"] for one in told))
    assert stages == [
        "reading the checkpoint",
        "making videos",
        "planning",
        "calibrating random weights",
        "forwarding clips",
        "planning the controls",
        "scoring the controls",
        "scoring",
        "done",
    ]
    fractions = [one["fraction"] for one in told]
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert [one["fraction"] for one in told if one["state"] != "done" and one["fraction"] == 1] == []
    assert told[-1]["fraction"] == 1
    assert (told[-1]["clips_done"], told[-1]["clips_total"]) == (40, 40)
    assert len(set(fractions)) > 20  # scoring and calibration move it, too
    scoring = [one["scoring_done"] for one in told if one["stage"] == "scoring"]
    assert scoring == [0, 0, 5, 10]


def test_fits_that_workers_share_are_told_as_one_scoring(api: Served, crew: Crew) -> None:
    crew.fits = 3
    crew.worker("cpu", "gpu")
    asked = ask(api.client, ready(api))
    crew.do(PLAN, EXTRACT, EXTRACT)
    assert show(api.client, asked)["state"] == "scoring"
    first, second = crew.claim(), crew.claim()
    assert {first.kind, second.kind} == {FIT}
    assert first.number != second.number
    told: list[dict[str, Any]] = []

    def look() -> None:
        told.append(show(api.client, asked)["progress"])

    look()
    for claim, done in ((first, 5), (second, 10), (first, 6)):
        crew.tell(claim, done, 10)
        look()
    crew.began(first, 1600)
    crew.began(second, 1600)
    found = show(api.client, asked)["progress"]
    assert found["remaining_s"] == pytest.approx(2400, rel=0.02)  # 16 of 40 units
    for claim in (second, first):
        crew.finish(claim)
        look()
    crew.do(FIT)
    look()
    claim = crew.claim()
    assert claim.kind is SCORE
    crew.tell(claim, 4, 10)
    look()
    assert [one["scoring_done"] for one in told] == [0, 5, 15, 16, 16, 20, 30, 34]
    assert {one["scoring_total"] for one in told} == {40}
    assert [one["stage"] for one in told] == ["fitting probes"] * 6 + ["scoring"] * 2
    shares = [one["fraction"] for one in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.01 + 0.99 * (20 + 0.25 * 20 * 34 / 40) / 25, abs=1e-4)
    crew.finish(claim)
    assert show(api.client, asked)["progress"]["scoring_done"] == 40


def test_fits_that_wait_say_so_and_a_control_says_that_it_is_one(
    api: Served, crew: Crew, other: httpx.Client
) -> None:
    crew.fits, crew.controls = 2, (0,)
    asked = ask(api.client, ready(api))
    crew.do(PLAN, CALIBRATE, EXTRACT, EXTRACT, PLAN, EXTRACT, EXTRACT)
    claim = crew.claim()
    assert show(api.client, asked)["progress"]["stage"] == "fitting probes of the controls"
    theirs = ask(other, upload(other, 9))
    assert re.search(
        r"the only worker for this is fitting probes for evaluation \w+ \(team default\), begun",
        waits(other, theirs) or "",
    )
    crew.finish(claim)
    assert waits(api.client, asked) is None  # the worker is free, and takes the next
    claim = crew.claim()
    while claim.kind is not FIT:
        claim = crew.claim()
    crew.crash(claim)
    said = waits(api.client, asked) or ""
    assert said.startswith("the probes of a control of the evaluation wait to be fitted: it is tried again")


def test_an_evaluation_that_was_asked_for_first_ends_before_the_next_is_planned(
    api: Served, crew: Crew
) -> None:
    crew.controls, crew.fits = (0,), 2
    crew.worker("cpu", "gpu")
    first, second = ask(api.client, ready(api)), ask(api.client, ready(api, model="second"))
    crew.do(PLAN, CALIBRATE, EXTRACT, EXTRACT, PLAN, EXTRACT, EXTRACT, FIT, FIT, SCORE, FIT, FIT, SCORE)
    assert (show(api.client, first)["state"], show(api.client, second)["state"]) == ("done", "planning")
    crew.do(PLAN, EXTRACT, EXTRACT, FIT, FIT, SCORE)
    assert show(api.client, second)["state"] == "done"


def test_what_was_there_before_is_no_work_of_a_later_evaluation(api: Served, crew: Crew) -> None:
    crew.controls = (0,)
    crew.worker("cpu", "gpu")
    ask(api.client, ready(api))
    crew.do(PLAN, CALIBRATE, EXTRACT, EXTRACT, PLAN, EXTRACT, EXTRACT, SCORE, SCORE)
    asked = ask(api.client, ready(api, model="second"))
    assert show(api.client, asked)["progress"]["fraction"] == 0
    crew.do(PLAN)
    found = show(api.client, asked)["progress"]
    assert (found["clips_done"], found["clips_total"]) == (0, 20)
    assert found["fraction"] == 0.01
    assert found["remaining_s"] is None  # nothing was forwarded yet: who knows
    crew.do(EXTRACT)
    found = show(api.client, asked)["progress"]
    assert (found["clips_done"], found["clips_total"]) == (10, 20)
    assert found["fraction"] == pytest.approx(0.01 + 0.99 * 10 / 25)
    crew.do(EXTRACT)
    claim = crew.claim()
    crew.tell(claim, 3, 6)
    found = show(api.client, asked)["progress"]
    assert found["stage"] == "scoring"
    assert found["fraction"] == pytest.approx(0.01 + 0.99 * 22.5 / 25)
    assert (found["scoring_done"], found["scoring_total"]) == (3, 6)


def test_the_estimate_goes_by_the_pace_of_clips_and_a_scoring_that_was_seen(api: Served, crew: Crew) -> None:
    crew.controls = (0,)
    crew.worker("cpu", "gpu")
    ask(api.client, ready(api))
    crew.do(PLAN, CALIBRATE, EXTRACT, EXTRACT, PLAN, EXTRACT, EXTRACT)
    claim = crew.claim()
    crew.began(claim, 3000)
    crew.finish(claim)  # the control's scoring took 3,000 s
    crew.do(SCORE)
    asked = ask(api.client, ready(api, model="second"))
    crew.do(PLAN)
    claim = crew.claim()
    crew.tell(claim, 1, 10)
    crew.began(claim, 1)
    assert show(api.client, asked)["progress"]["remaining_s"] is None  # most of it may be the process's start
    crew.began(claim, 1200)
    found = show(api.client, asked)["progress"]
    assert found["remaining_s"] == pytest.approx(19 * 1200 + 3000, rel=0.02)
    crew.tell(claim, 5, 10)
    crew.began(claim, 1000)
    found = show(api.client, asked)["progress"]
    assert found["remaining_s"] == pytest.approx(15 * 200 + 3000, rel=0.02)  # 15 clips at 200 s, then scoring
    crew.finish(claim)
    crew.do(EXTRACT)
    claim = crew.claim()
    assert show(api.client, asked)["progress"]["remaining_s"] == pytest.approx(3000, rel=0.02)
    crew.tell(claim, 5, 6)
    crew.began(claim, 1000)
    assert show(api.client, asked)["progress"]["remaining_s"] == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize("is_crash", [True, False])
@pytest.mark.parametrize("kind", [EXTRACT, FIT, SCORE])
def test_a_second_attempt_takes_nothing_back_and_has_no_pace(
    api: Served, crew: Crew, kind: JobKind, is_crash: bool
) -> None:
    crew.worker("cpu", "gpu")
    asked = ask(api.client, ready(api))
    crew.fits = 2 if kind is FIT else 0
    crew.do(PLAN, *([] if kind is EXTRACT else [EXTRACT, EXTRACT]))
    claim = crew.claim()
    assert claim.kind is kind
    crew.tell(claim, 8, 10)
    crew.began(claim, 80)
    before = show(api.client, asked)["progress"]
    assert before["remaining_s"] > 10
    if is_crash:
        crew.crash(claim, pause=False)
    else:
        crew.release(claim)
    assert show(api.client, asked)["progress"]["fraction"] == before["fraction"]
    second = crew.claim()
    crew.tell(second, 1, 10)
    again = show(api.client, asked)["progress"]
    assert (again["fraction"], again["clips_done"]) == (before["fraction"], before["clips_done"])
    assert again["remaining_s"] is None  # not the pace of 8 at once
    crew.finish(second)
    if kind is EXTRACT:
        assert show(api.client, asked)["progress"]["remaining_s"] is not None


@pytest.mark.parametrize("fits", [0, 2])
def test_rows_that_change_between_two_statements_of_a_look_take_nothing_back(
    api: Served, crew: Crew, fits: int
) -> None:
    crew.controls, crew.fits = (0,), fits
    asked = ask(api.client, ready(api))

    def look_before_and_after(change: Callable[[], None]) -> None:
        with api.database.session() as session:
            evaluation = session.get_one(Evaluation, UUID(asked))
            assert len(evaluation.controls) == 1
            before = progress(session, evaluation)
            change()
            after = progress(session, evaluation)  # the rows of evaluations are as old as before
        assert after.fraction >= before.fraction
        assert after.clips_total == before.clips_total == 40

    crew.do(PLAN, CALIBRATE, EXTRACT, EXTRACT)
    look_before_and_after(lambda: crew.do(PLAN))  # the control's
    crew.do(EXTRACT, EXTRACT)
    if fits:
        look_before_and_after(lambda: crew.do(FIT))
        look_before_and_after(lambda: crew.do(FIT))
    claim = crew.claim()
    assert claim.kind is SCORE
    crew.tell(claim, 5, 10)
    look_before_and_after(lambda: crew.finish(claim))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_workers_do_the_share_never_falls_nor_is_whole_before_the_end(
    api: Served, crew: Crew, seed: int
) -> None:
    rng = random.Random(seed)
    crew.controls, crew.shards, crew.fits = (0, 1), 3, 2 * (seed % 2)
    crew.worker("cpu", "gpu")
    told: dict[str, list[float]] = {}
    states: dict[str, str] = {}
    claims: dict[UUID, tuple[Claim, int]] = {}
    for step in range(600):
        live = [one for one in told if states[one] not in ENDS]
        if not live or step in (20, 50):
            new = ask(api.client, upload(api.client, step, f"m{step}"), "playground-64")
            told[new], states[new] = [0.0], "waiting"
        elif step == 40:
            api.client.post(f"/v1/evaluations/{rng.choice(live)}/cancel").raise_for_status()
        act(crew, rng, claims, may_fail=step > 60 and "failed" not in states.values())
        for one in told if step % 10 == 0 else live:
            found = show(api.client, one)
            told[one].append(found["progress"]["fraction"])
            states[one] = found["state"]
            assert (found["progress"]["fraction"] == 1) == (found["state"] == "done")
        if set(states.values()) >= ENDS and list(states.values()).count("done") > 1:
            break
    assert set(states.values()) >= ENDS
    for one, fractions in told.items():
        assert fractions == sorted(fractions)
        if states[one] != "done":
            assert show(api.client, one)["progress"]["remaining_s"] is None


def act(
    crew: Crew, rng: random.Random, claims: dict[UUID, tuple[Claim, int]], *, may_fail: bool = False
) -> None:
    """A worker claims a job, tells how far it is, loses it or ends it; rarely, the job fails for good."""
    if not claims or rng.random() < 0.3:
        try:
            claim = crew.claim()
        except AssertionError:  # nothing waits
            pass
        else:
            claims[claim.job_id] = (claim, 0)
            return
    if not claims:
        return
    claim, done = claims.pop(rng.choice(list(claims)))
    if not is_wanted(crew, claim):
        return
    choice = rng.random()
    if may_fail and choice < 0.04:
        crew.fail(claim, "broken")
    elif choice < 0.5 and done < 10:
        done = rng.randint(done, 10)
        crew.tell(claim, done, 10)
        claims[claim.job_id] = (claim, done)
    elif choice < 0.55:
        with crew.database.session() as session:
            crashes = session.get_one(Job, claim.job_id).crashes
        if crashes < 2:
            crew.crash(claim, pause=False)
        else:
            crew.finish(claim)
    else:
        crew.finish(claim)


@pytest.mark.parametrize("kind", sorted(set(JobKind) - {JobKind.INDEX, JobKind.INGEST}))
def test_every_kind_of_job_is_told_in_words(kind: JobKind, database: Database) -> None:
    job, evaluation = Job(kind=kind), Evaluation()
    with database.session() as session:
        assert waiting._doing(session, job, None)
        assert waiting._stage(session, job, evaluation)
        assert waiting._subject(session, job, evaluation)
        assert queue.done_for(session, job, EVERYTHING) is None
