"""The command line, run as users run it: in a process of its own."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from vcpbench_client import Client
from vcpbench_client.commands import evaluations, progress, uploads
from vcpbench_client.defaults import DATASET, PROTOCOL
from vcpbench_client.errors import Rejected, TimedOut

from records.models import Comparison, Worker
from stack.commands.local import local
from tests.client.conftest import Run, token_of
from tests.client.hands import Hands, write_model
from tests.client.line import Line
from tests.forked import VCPBENCH
from tests.patience import DEADLINE_S, until, with_time_enough
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import in_thread, noise
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL

OWN: tuple[str, ...] = ("login", "upload", "evaluate", "status", "results", "leaderboard")
OWN += (
    "compare",
    "cancel",
    "datasets",
    "protocols",
    "gate",
    "models",
    "checkpoints",
    "evaluations",
    "answers",
)
OWN += ("admin reevaluate", "admin previews", "view save", "view list", "view remove", "private", "public")
ON_GESTURES = ("-d", "gestures", "-p", "quick-v1")


def id_in(text: str) -> str:
    found = re.search(r"evaluations?[ /]([0-9a-f-]{36})", text)
    assert found is not None, text
    return found[1]


def test_evaluate_uploads_waits_and_shows_the_table(run: Run, hands: Hands, tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt", range(70))
    first = run("evaluate", "model.pt", "--model", "mine", "--step", "7", *ON_GESTURES)
    assert first.returncode == 0, first.stderr
    assert re.search(r"top1 +70\.0 +60\.\d \.\. 78\.\d +33\.3", first.stdout)
    assert "mine step 7 (r3d_tiny) on gestures, quick-v1: done" in first.stdout
    assert "! cloze: its videos have 16 frames" in first.stderr
    assert "sending: 0.0 of 0.0 MB" in first.stderr
    again = run("evaluate", "mine@latest", *ON_GESTURES, "--json")
    assert json.loads(again.stdout)["id"] == id_in(first.stdout)
    diagnosis = json.loads(again.stdout)["diagnosis"]
    assert diagnosis
    assert all(sentence in first.stdout for sentence in diagnosis)
    assert again.stderr == ""


def test_compare_says_that_it_waits_and_shows_what_came_out(
    run: Run, hands: Hands, api: Served, tmp_path: Path
) -> None:
    ids = []
    for right in (range(70), range(20)):
        write_model(tmp_path / "model.pt", right)
        found = run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES, "--json")
        ids.append(json.loads(found.stdout)["id"])
    hands.work.clear()
    compared = in_thread(lambda: run("compare", *ids))

    def asked() -> bool:
        with api.database.session() as session:
            return session.scalars(select(Comparison.id)).first() is not None

    until(asked)
    hands.work.set()
    found = compared()
    assert found.returncode == 0, found.stderr
    assert "comparing: 0 %" in found.stderr
    assert "▼" in found.stdout
    assert "comparing" not in run("compare", *ids).stderr  # it is kept


def test_what_there_is_can_be_read(run: Run, hands: Hands, tmp_path: Path) -> None:
    ids = []
    for step, right in enumerate((range(70), range(20))):
        write_model(tmp_path / "model.pt", right)
        found = run("evaluate", "model.pt", "-m", "mine", "--step", str(step), *ON_GESTURES, "--json")
        ids.append(json.loads(found.stdout)["id"])
    for words, says in (
        (("status", ids[0]), "mine step 0"),
        (("results", ids[0]), "mean_class"),
        (("leaderboard", *ON_GESTURES), ids[1]),
        (("compare", *ids), "▼"),
        (("datasets",), "gestures"),
        (("protocols",), "quick-v1"),
    ):
        table, as_json = run(*words), run(*words, "--json")
        assert (table.returncode, as_json.returncode) == (0, 0), table.stderr + as_json.stderr
        assert says in table.stdout
        assert json.loads(as_json.stdout)
    best_first = run("leaderboard", *ON_GESTURES).stdout
    assert best_first.index(ids[0]) < best_first.index(ids[1])


def test_datasets_say_what_became_of_the_files_that_a_worker_has_seen(run: Run, api: Served) -> None:
    with api.database.session() as session:
        ready_dataset(session, "old").summary = {
            "videos": {"train": 71, "test": 30},
            "left_out": [{"id": "a"}],
        }
        ready_dataset(session, "messy").summary = {
            "videos": {"train": 6, "test": 3},
            "left_out": [{"id": "run/empty.mp4", "reason": "the file is empty"}] * 12,
            "not_taken": [{"reason": "a broken link", "count": 40}, {"reason": "hidden", "count": 5}],
            "damaged": {"videos": 8},
            "warnings": ["sit is gone.", "more"],
        }
    shown = run("datasets", COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    heading, *lines = shown.stdout.splitlines()
    assert heading.split()[:8] == ["dataset", "state", "train", "test", "left", "out", "not", "taken"]
    by_name = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert by_name["messy"][1:7] == ["ready", "6", "3", "12", "45", "8"]
    assert "! sit is gone. And 1 more: see --json." in shown.stdout
    assert by_name["old"][1:5] == ["ready", "71", "30", "1"]  # of a server from before it told the rest


def test_a_shared_place_is_marked_on_the_board(run: Run, hands: Hands, tmp_path: Path) -> None:
    for step, right in enumerate((range(70), range(69), range(20))):
        write_model(tmp_path / "model.pt", right)
        run("evaluate", "model.pt", "-m", "mine", "--step", str(step), *ON_GESTURES)
    _, *lines = run("leaderboard", *ON_GESTURES).stdout.splitlines()
    assert [line.split()[0] for line in lines if "mine" in line] == ["1=", "1=", "3"]


def test_upload_says_what_was_found_and_what_to_do_next(run: Run, hands: Hands, tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt", [])
    found = run("upload", "model.pt", "-m", "mine", "--step", "7")
    as_json = json.loads(run("upload", "model.pt", "-m", "mine", "--json").stdout)
    assert found.stdout == f"mine: checkpoint {as_json['id']}, ready, r3d_tiny, step 7\n"
    assert found.stderr.endswith(f"Evaluate it: vcpbench evaluate {as_json['id']}\n")
    assert (found.returncode, as_json["state"]) == (0, "ready")


def test_upload_that_does_not_wait_says_that_the_server_reads_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(noise(1000))
    found = run("upload", "model.pt", "-m", "mine", "--no-wait")
    assert (found.returncode, "ingesting" in found.stdout) == (0, True)
    late = with_time_enough(
        lambda seconds: run("upload", "model.pt", "-m", "mine", "--timeout", seconds),
        lambda ran: "ingesting" in ran.stderr,
        first_s=0.1,
    )
    assert late.returncode == 2
    assert re.search(r"of mine is still ingesting after [\d.]+ s", late.stderr)


def test_who_waits_for_a_verdict_is_told_that_nobody_reads_checkpoints(
    client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HINT_S", 0.1)
    (tmp_path / "model.pt").write_bytes(noise(1000))
    found = client.upload(tmp_path / "model.pt", "mine")
    with pytest.raises(TimedOut):
        uploads.until_read(client, found, timeout_s=2, quiet=True)
    assert "No worker of the server takes the queue cpu" in capsys.readouterr().err


def test_a_file_needs_a_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(noise(1000))
    bare = run("evaluate", "model.pt", *ON_GESTURES)
    assert (bare.returncode, "--model NAME" in bare.stderr) == (2, True)


def test_a_file_that_is_rejected_is_told_with_its_reason_and_fails(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    write_model(tmp_path / "model.pt", [], reject="no weights of a network")
    found = run("upload", "model.pt", "-m", "mine")
    assert (found.returncode, found.stdout) == (2, "")
    assert "was rejected: no weights of a network" in found.stderr
    (checkpoint,) = client.checkpoints()
    with pytest.raises(Rejected) as caught:
        client.wait_ready(checkpoint)
    assert caught.value.checkpoint == client.checkpoint(checkpoint.id)
    evaluated = run("evaluate", checkpoint.id, *ON_GESTURES)
    assert (evaluated.returncode, "rejected: no weights of a network" in evaluated.stderr) == (2, True)


def test_an_evaluation_that_fails_is_told_with_its_reason_and_the_end_of_its_log(
    run: Run, hands: Hands, tmp_path: Path
) -> None:
    hands.work.clear()
    write_model(tmp_path / "model.pt", [], fail="out of memory")
    begun = run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES, "--no-wait")
    status = in_thread(lambda: run("status", id_in(begun.stderr), "--follow"))
    hands.work.set()
    for found in (status(), run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES)):
        assert found.returncode == 2
        assert "of mine is failed: out of memory.\nTraceback: ...\n" in found.stderr


def test_without_waiting_it_says_where_to_look(run: Run, hands: Hands, tmp_path: Path) -> None:
    hands.work.clear()
    write_model(tmp_path / "model.pt", range(70))
    found = run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES, "--no-wait")
    assert found.returncode == 0
    assert "done" not in found.stdout
    late = run("evaluate", "mine@latest", *ON_GESTURES, "--timeout", "0.5")
    assert (late.returncode, "TimedOut" in late.stderr) == (2, True)
    cancelled = run("cancel", id_in(found.stderr))
    assert (cancelled.returncode, "cancelled" in cancelled.stdout) == (0, True)
    followed = run("status", id_in(found.stderr), "--follow")
    assert (followed.returncode, "cancelled" in followed.stdout) == (0, True)


def test_ctrl_c_leaves_the_evaluation_running_and_says_how_to_come_back(
    api: Served, client: Client, hands: Hands, tmp_path: Path
) -> None:
    hands.work.clear()
    write_model(tmp_path / "model.pt", range(70))
    process = interruptible(
        api.url, token_of(api), tmp_path, "evaluate", "model.pt", "-m", "mine", *ON_GESTURES
    )
    until(lambda: list(client.evaluations()))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    (found,) = client.evaluations()
    assert f"vcpbench status {found.id} --follow" in stderr
    assert f"vcpbench cancel {found.id}" in stderr
    hands.work.set()
    assert client.wait(found).state == "done"


def test_ctrl_c_in_an_upload_keeps_what_was_sent(api: Served, line: Line, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(noise(3_000_000))
    line.faults.extend([(503, "")] * 100)
    process = interruptible(line.url, token_of(api), tmp_path, "upload", "model.pt", "-m", "mine")
    until(lambda: line.num_connections)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, "The server keeps the bytes that were sent" in stderr) == (130, True)


def interruptible(url: str, token: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [VCPBENCH, *words],
        cwd=folder,
        env={**os.environ, "VCPBENCH_URL": url, "VCPBENCH_TOKEN": token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_login_is_checked_kept_and_used(api: Served, run: Run, tmp_path: Path) -> None:
    alone = {"VCPBENCH_URL": "", "VCPBENCH_TOKEN": ""}
    before = run("datasets", **alone)
    assert (before.returncode, "vcpbench login" in before.stderr) == (2, True)
    (tmp_path / "token").write_text("vcp_wrong\n")
    wrong = run("login", api.url, "--token-file", "token", **alone)
    assert (wrong.returncode, "Unauthorised: " in wrong.stderr) == (2, True)
    assert run("datasets", **alone).returncode == 2
    (tmp_path / "token").write_text(f"{token_of(api)}\n")
    right = run("login", api.url, "--token-file", "token", **alone)
    assert (right.returncode, " as test of team default" in right.stderr) == (0, True), right.stderr
    assert token_of(api) not in right.stdout + right.stderr
    assert run("datasets", **alone).returncode == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("upload", "gone.pt", "-m", "mine"), "gone.pt cannot be read: No such file"),
        (("evaluate", "mine@latest", "-d", "playgruond"), "no checkpoint of a model 'mine'"),
        (("leaderboard", "-d", "playgruond"), "Did you mean 'playground'?"),
        (("status", "no-id"), "'no-id' names no evaluation"),
        (("results", "11111111-1111-1111-1111-111111111111"), "No evaluation 11111111"),
        (("cancel",), "EVALUATION"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_exits_with_2(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    found = run(*words)
    assert found.returncode == 2
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_a_server_that_is_not_there_is_said_within_seconds(run: Run) -> None:
    begun = time.monotonic()
    found = run("datasets", VCPBENCH_URL="http://127.0.0.1:1")
    assert (found.returncode, "cannot be reached" in found.stderr) == (2, True)
    assert time.monotonic() - begun < 30


def test_status_alone_shows_who_works(
    api: Served, hands: Hands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where only the client is installed; the whole of vcpbench shows the stack on this machine instead.
    monkeypatch.setenv("VCPBENCH_URL", api.url)
    monkeypatch.setenv("VCPBENCH_TOKEN", token_of(api))
    evaluations.status()
    said = capsys.readouterr().out
    assert re.search(r"cpu +0 +0 +hands", said)
    assert "walls" not in said
    with api.database.session() as session:
        session.scalars(select(Worker)).one().lacking_walls = {"landlock": "the kernel has none"}
    evaluations.status()
    assert "hands lacks walls around foreign files: landlock (the kernel has none)" in capsys.readouterr().out


@pytest.mark.parametrize("command", OWN)
def test_every_command_has_help_examples_and_json(command: str) -> None:
    found = subprocess.run(
        [VCPBENCH, *command.split(), "--help"], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert found.returncode == 0
    assert "Example" in found.stdout
    assert ("--json" in found.stdout) == (command != "login")


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    code = "import sys, vcpbench_client, vcpbench_client.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"httpx", "rich.console", "rich.progress", "pydantic", "asyncio"} & set(loaded.split())


def test_the_clients_defaults_are_the_servers_and_those_of_local() -> None:
    asked = inspect.signature(local).parameters
    assert (DATASET, PROTOCOL) == (DEFAULT_DATASET, DEFAULT_PROTOCOL)
    assert (asked["dataset"].default, asked["protocol"].default) == (DATASET, PROTOCOL)
    document = json.loads((Path(__file__).parents[1] / "service" / "openapi.json").read_text())
    of_body = document["components"]["schemas"]["EvaluationIn"]["properties"]["protocol"]["default"]
    parameters = document["paths"]["/v1/leaderboard"]["get"]["parameters"]
    (of_board,) = (one["schema"]["default"] for one in parameters if one["name"] == "protocol")
    assert of_body == of_board == PROTOCOL


def test_where_no_videos_and_protocol_are_named_all_mean_the_same(
    run: Run, hands: Hands, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "model.pt", range(70))
    monkeypatch.setenv("VCPBENCH_DATASET", "gestures")
    monkeypatch.setenv("VCPBENCH_PROTOCOL", "standard-v1")
    gate = run("gate", "model.pt", "-m", "mine", "--min", "recognition.top1=50")
    assert (gate.returncode, "gate: pass, on gestures under standard-v1" in gate.stderr) == (0, True)
    (row,) = client.leaderboard().rows
    assert client.evaluate("mine@latest").id == row.evaluation
    for words in (("evaluate", "mine@latest"), ("leaderboard",)):
        assert row.evaluation in run(*words).stdout
    hands.work.clear()
    for name in ("VCPBENCH_DATASET", "VCPBENCH_PROTOCOL"):
        monkeypatch.delenv(name)
    asked = client.evaluate("mine@latest")
    assert (asked.dataset.name, asked.protocol.name) == (DATASET, PROTOCOL)
    assert json.loads(run("evaluate", "mine@latest", "--no-wait", "--json").stdout)["id"] == asked.id
    assert run("gate", "model.pt", "-m", "mine", "--min", "a=1", "--timeout", "1").stderr.endswith(
        f"gate: error, on {DATASET} under {PROTOCOL}\n"
    )
    empty = run("leaderboard")
    assert f"No finished evaluation on {DATASET} under {PROTOCOL} matches" in empty.stderr
    assert (empty.returncode, empty.stdout) == (0, "")
    assert json.loads(run("leaderboard", "--json").stdout)["rows"] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_what_makes_them_complete(shell: str) -> None:
    words = [VCPBENCH, "--show-completion"]
    fixed = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    run = subprocess.run(
        [*words, shell], env={**os.environ, **fixed}, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert (run.returncode, "_VCPBENCH_COMPLETE" in run.stdout) == (0, True), run.stderr
    assert "vcpbench" in run.stdout


def test_bash_takes_the_completion_that_it_is_shown() -> None:
    script = f"""PATH={Path(VCPBENCH).parent}:$PATH
    shown=$(vcpbench --show-completion); eval "$shown"; complete -p vcpbench"""
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=DEADLINE_S)
    assert (run.returncode, run.stdout.strip()) == (
        0,
        "complete -o default -F _vcpbench_completion vcpbench",
    ), run.stderr


def test_shells_complete_names(run: Run, api: Served, hands: Hands) -> None:
    def offered(line: str, **more: str) -> str:
        words = {"_VCPBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "3", **more}
        return run(**words).stdout

    assert offered("vcpbench evaluate --dataset gest").split() == ["gestures"]
    assert offered("vcpbench evaluate --protocol quick").split() == ["quick-v1"]
    assert offered("vcpbench evaluate --dataset gest", VCPBENCH_URL="http://127.0.0.1:1").split() == []
