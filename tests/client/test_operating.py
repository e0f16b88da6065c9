"""The hands of operators from the client and the command line."""

from __future__ import annotations

import json

import pytest
from typer import BadParameter
from vcpbench_client import Client
from vcpbench_client.commands.operating import _limit
from vcpbench_client.errors import ApiError, Conflict, NotFound

from tests.client.conftest import Run
from tests.crew import Crew
from tests.served import Served
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import noise, one_shot
from tests.signed_in import sign_in


@pytest.fixture
def crew(api: Served) -> Crew:
    return Crew(api.database)


@pytest.fixture
def evaluation(api: Served) -> str:
    with api.database.session() as session:
        ready_dataset(session)
        checkpoint = str(ready_checkpoint(session).id)
    return str(api.evaluate(checkpoint, "gestures")["id"])


def test_the_client_lists_and_changes_jobs(client: Client, crew: Crew, evaluation: str) -> None:
    claim = crew.claim()
    (job,) = client.jobs()
    assert (job.id, job.state, job.evaluation) == (str(claim.job_id), "running", evaluation)
    (worker,) = client.workers()
    assert worker.job is not None
    assert (worker.name, worker.job.id) == ("host:1", job.id)
    with pytest.raises(Conflict, match="running"):
        client.requeue(job.id)
    cancelled = client.cancel_work(job.id[:8])
    assert cancelled.evaluations == {evaluation: "failed"}
    with pytest.raises(Conflict, match="nothing to cancel"):
        client.cancel_work(job.id)
    assert [one.error for one in client.jobs(states=["cancelled"])] == [
        "an administrator (test) cancelled it"
    ]
    ((again, state),) = client.requeue(evaluation).evaluations.items()
    assert state == "planning"
    assert client.prioritise(again, "low").id == again
    assert [one.priority for one in client.jobs(kind="plan", team="default")] == [-1]
    assert client.drain("host:1").drained_by == "test"
    assert client.drain(worker.id, draining=False).draining_since is None
    assert client.purge(1, dry_run=True).jobs == client.purge(1).jobs == 0


def test_the_client_pauses_and_resumes(client: Client) -> None:
    paused = client.pause("index", "The disk is moved.")
    assert client.status().pauses == (paused,)
    assert client.resume("index") == paused
    with pytest.raises(NotFound, match="not paused"):
        client.resume("index")


def test_the_client_sets_quotas_and_tells_what_is_used(api: Served, client: Client) -> None:
    assert client.set_quota("default", num_bytes=100, running=0).num_bytes.allowed == 100
    one_shot(api.client, noise(60))
    used = client.quota()
    assert (used.num_bytes.used, used.num_bytes.own) == (60, True)
    assert client.quota("a/b").num_bytes.used == 0
    assert client.set_quota("default", num_bytes=None).num_bytes.allowed is None


def test_a_team_without_room_is_told_at_once_and_not_after_retries(
    api: Served, client: Client, slept: list[float]
) -> None:
    client.set_quota("default", uploads_a_day=1)
    one_shot(api.client, noise(60))
    with pytest.raises(ApiError, match="next upload is possible in 24 h"):
        client._asked(dict, "POST", "/checkpoints", body=_declared())
    assert sum(slept) < 60


def _declared() -> dict[str, object]:
    return {"model": "m", "size_bytes": 1, "sha256": "0" * 64}


def test_commands_of_operators(run: Run, crew: Crew, api: Served, evaluation: str) -> None:
    job = json.loads(run("admin", "queue", "--json").stdout)[0]
    assert (job["evaluation"], job["kind"]) == (evaluation, "plan")
    worker = crew.worker("cpu")
    paused = run("admin", "pause", "cpu", "--why", "The GPUs get new drivers.")
    assert "cpu is paused by test since" in paused.stdout
    assert "To undo this: vcpbench admin resume cpu" in paused.stderr
    found = run("admin", "queue", "--kind", "plan")
    assert "default/tiny on gestures" in found.stdout
    assert "queued (paused)" in found.stdout
    assert "The GPUs get new drivers." in found.stderr
    assert "The GPUs get new drivers." in run("status").stderr
    assert "It was paused by test" in run("admin", "resume", "cpu").stdout
    crew.claim(worker)
    assert f"plan {job['id'][:8]}" in run("admin", "workers").stdout
    drained = run("admin", "drain", "host:1")
    assert f"host:1 ends after its job {job['id']} (plan)" in drained.stdout
    assert "--undo" in drained.stderr
    assert run("admin", "drain", "host:1", "--undo").stdout == "host:1 goes on\n"
    cancelled = run("admin", "cancel", job["id"][:8])
    assert f"evaluation {evaluation}: failed" in cancelled.stdout
    assert f"vcpbench admin requeue {job['id']}" in cancelled.stderr
    again = json.loads(run("admin", "requeue", job["id"], "--json").stdout)["evaluations"]
    assert list(again.values()) == ["planning"]
    assert "priority high, planning" in run("admin", "priority", next(iter(again)), "high").stdout
    assert (
        "0 logs and 0 jobs would be removed" in run("admin", "purge", "--older-than", "9", "--dry-run").stdout
    )
    wrong = run("admin", "cancel", "0000beef")
    assert (wrong.returncode, "NotFound" in wrong.stderr) == (2, True)
    assert run("admin", "queue", "--state", "done").stderr == "No such job.\n"


def test_the_command_of_quotas(run: Run, api: Served) -> None:
    one_shot(api.client, noise(60))
    found = run("admin", "quota", "default", "--bytes", "60", "--uploads-a-day", "5")
    assert "60 B" in found.stdout
    assert "bytes stored: 60 of 60 are used. Room is free when" in found.stdout
    assert json.loads(run("status", "--json").stdout)["quota"]["uploads_a_day"]["allowed"] == 5
    assert "uploads within 24 h" in run("status").stdout
    assert "no limit" in run("admin", "quota", "default", "--bytes", "default").stdout
    assert run("admin", "quota", "default", "--running", "many").returncode == 2


def test_the_commands_of_sign_ins(run: Run, api: Served) -> None:
    assert "Nobody is signed in at the provider." in run("admin", "sign-ins").stderr
    session = str(sign_in(api, "bo@example.org"))
    for _ in range(2):
        sign_in(api, "anna@example.org")
    listed = run("admin", "sign-ins", "--team", "vision").stdout
    assert listed.count("anna@example.org") == 2
    assert session[:8] in listed
    assert "Nobody" in run("admin", "sign-ins", "--team", "audio").stderr
    ended = run("admin", "sign-out", "anna@example.org")
    assert ended.stdout == "anna@example.org of team vision is signed out: 2 sessions ended\n"
    assert "vcpbench token list --team vision" in ended.stderr
    found = json.loads(run("admin", "sign-out", session[:8], "--json").stdout)
    assert found == {"name": "bo@example.org", "team": "vision", "sessions": 1}
    assert json.loads(run("admin", "sign-ins", "--json").stdout) == []
    wrong = run("admin", "sign-out", "anna")
    assert (wrong.returncode, "Nobody called 'anna' is signed in" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("100GB", 100 * 10**9), ("1.5 MiB", 1_572_864), ("7", 7), ("none", 0), ("default", None)],
    ids=["GB", "MiB", "plain", "none", "default"],
)
def test_sizes_are_read_as_people_write_them(text: str, limit: int | None) -> None:
    assert _limit(text, in_bytes=True) == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "12 parsecs", "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        _limit(text, in_bytes=True)


@pytest.mark.parametrize("text", ["1MB", "x"])
def test_counts_have_no_unit(text: str) -> None:
    with pytest.raises(BadParameter):
        _limit(text, in_bytes=False)
