"""The four verdicts, on evaluations made for the purpose: which videos are answered rightly is known."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import select, update
from vcpbench_client import Client
from vcpbench_client.answers import Comparison
from vcpbench_client.gate.baseline import Against
from vcpbench_client.gate.rules import Rule, Verdict
from vcpbench_client.gate.run import Answer, Gate, Question
from vcpbench_client.patience import UNKNOWN_S

from records.models import Checkpoint, Evaluation
from service.problems import Conflict
from tests.client.conftest import token_of
from tests.client.hands import Hands, write_model
from tests.client.line import Line
from tests.forked import VCPBENCH, run_vcpbench
from tests.patience import DEADLINE_S, until, with_time_enough
from tests.served import Served
from tests.service.finished import ready_dataset

TOP1 = "recognition.top1"
# Of 100 videos. Those of BEFORE are right in LITTLE_LESS but for six, and three others are.
BEFORE = range(60)
LITTLE_LESS = [*range(6, 60), 60, 61, 62]
MUCH_LESS = range(20)
MORE = range(75)
ON_BOARD = ("-d", "gestures", "-p", "quick-v1")
FILES = ("--summary", "s.md", "--junit", "j.xml", "--json", "g.json")


class Run:
    """One run of the gate, and all that it left.

    Attributes:
        code: Its exit code.
        out: What it said on standard output.
        err: And on standard error.
        json: Its report.
        summary: In Markdown.
        cases: Of the JUnit file: what is in each test case, by its name.
    """

    def __init__(
        self, folder: Path, server: str, token: str, *words: str, files: tuple[str, ...] = FILES
    ) -> None:
        for name in FILES[1::2]:
            (folder / name).unlink(missing_ok=True)
        run = run_vcpbench(
            *("gate", *ON_BOARD, *words, *files),
            cwd=folder,
            env={**os.environ, "VCPBENCH_URL": str(server), "VCPBENCH_TOKEN": token, "COLUMNS": "160"},
        )
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr
        self.json: dict[str, Any] = {}
        self.summary, self.cases = "", {}  # type: str, dict[str | None, list[str]]
        if (folder / "g.json").exists():
            self.json = json.loads((folder / "g.json").read_text())
            self.summary = (folder / "s.md").read_text()
            suites = ElementTree.parse(folder / "j.xml").getroot()
            self.cases = {case.get("name"): [one.tag for one in case] for case in suites.iter("testcase")}


@pytest.fixture
def gate(api: Served, hands: Hands, tmp_path: Path, client: Client) -> Any:
    """Runs the gate for a model that answers these rightly; a checkpoint before it answered `BEFORE`."""

    def run(
        right: Any,
        *rules: str,
        server: str = api.url,
        token: str = token_of(api),
        files: tuple[str, ...] = FILES,
        **more: Any,
    ) -> Run:
        write_model(tmp_path / "new.json", right, **more)
        return Run(tmp_path, server, token, "new.json", "-m", "mine", *rules, files=files)

    return run


@pytest.fixture
def before(client: Client, hands: Hands, tmp_path: Path) -> str:
    """The evaluation of an earlier checkpoint."""
    uploaded = client.upload(write_model(tmp_path / "old.json", BEFORE), "mine", step=1)
    return client.wait(client.evaluate(uploaded, "gestures", "quick-v1")).id


DROP = ("--against", "mine@latest", "--max-drop", f"{TOP1}=5")


def test_pass(gate: Any, before: str) -> None:
    found = gate(MORE, *DROP, "--min", f"{TOP1}=50")
    assert (found.code, found.json["verdict"]) == (0, "pass"), found.err
    assert found.json["baseline"]["id"] == before
    assert found.cases == {f"--min {TOP1}=50": ["system-out"], f"--max-drop {TOP1}=5": ["system-out"]}
    (drop,) = (rule for rule in found.json["rules"] if rule["kind"] == "max-drop")
    assert drop["value"] == pytest.approx(15)
    assert -5 <= drop["low"] < 15 < drop["high"]
    assert "## ✅ vcpbench gate: pass" in found.summary
    assert f"/evaluations/{found.json['evaluation']['id']}" in found.summary
    assert f"/compare?first={before}&second={found.json['evaluation']['id']}" in found.summary
    assert f"| {TOP1} | 60.0 | 75.0 | ▲ | +15.0 |" in found.summary
    assert "gate: pass" in found.err
    assert found.json["notes"] == ["no video was looked at"]  # what its page warns of


def test_the_server_is_told_the_verdict_and_a_server_that_cannot_store_it_changes_nothing(
    gate: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gate(MUCH_LESS, "--min", f"{TOP1}=40", "--max", f"{TOP1}=90").code == 1
    (told,) = [one for one in client.events() if one.kind == "gate.verdict"]
    rules = [
        {"rule": f"min {TOP1}=40", "verdict": "fail"},
        {"rule": f"max {TOP1}=90", "verdict": "pass"},
    ]
    assert (told.facts["verdict"], told.facts["rules"], told.facts["model"]) == ("fail", rules, "mine")
    monkeypatch.setattr("service.events.service.check_done", _away)
    found = gate(MUCH_LESS, "--min", f"{TOP1}=40")
    assert found.code == 1
    assert "The server did not store the verdict: " in found.err


def _away(*_: object) -> None:
    raise Conflict("The store of verdicts is away.")


def test_fail_when_the_paired_interval_lies_wholly_beyond_the_allowed_drop(gate: Any, before: str) -> None:
    found = gate(MUCH_LESS, *DROP)
    assert (found.code, found.json["verdict"]) == (1, "fail")
    assert found.json["rules"][0]["high"] < -5
    assert found.cases == {f"--max-drop {TOP1}=5": ["failure", "system-out"]}
    assert "❌" in found.summary
    assert "▼" in found.summary


def test_a_report_leads_to_the_ten_videos_that_got_worse(api: Served, gate: Any, before: str) -> None:
    found = gate(MUCH_LESS, *DROP)
    (worse,) = found.json["worse"]
    assert (worse["metric"], worse["total"], len(worse["videos"])) == (TOP1, 40, 10)
    lost = {f"v{place:03}" for place in {*BEFORE} - {*MUCH_LESS}}
    assert {one["video"] for one in worse["videos"]} <= lost
    assert f"[40 answers]({worse['url']})" in found.summary
    assert f"40 got worse in {TOP1}: {worse['url']}" in found.err
    for address in (worse["url"], *(one["url"] for one in worse["videos"])):
        assert f"]({address})" in found.summary
        page = api.client.get(address, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert worse["videos"][0]["truth"] in page.text
    assert gate(MORE, "--against", before, "--max-drop", f"{TOP1}=5").json["worse"] == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(None, "cannot be reached", id="killed"),
        pytest.param((500, ""), "answers 500", id="fault of the server"),
        pytest.param((401, ""), "answers 401", id="token revoked"),
        pytest.param((404, ""), None, id="older server"),
    ],
)
def test_a_verdict_stands_if_the_videos_that_got_worse_cannot_be_listed(
    api: Served, line: Line, before: str, tmp_path: Path, fault: tuple[int, str] | None, says: str | None
) -> None:
    question = Question(
        file=write_model(tmp_path / "new.json", MUCH_LESS),
        model="mine",
        dataset="gestures",
        protocol="quick-v1",
        rules=(Rule.parse("max-drop", f"{TOP1}=5"),),
        against=Against.parse("mine@latest"),
    )
    with Client(line.url, token_of(api), patience_s=0) as client:

        def compare(first: str, second: str) -> Comparison:
            found = client.compare(first, second)
            if fault is None:
                line.kill()
            else:
                line.faults.append(fault)
                line.cut()
            return found

        gate = Gate(client, Answer(question=question), compare)
        gate.run(lambda: client.upload(question.file, question.model), client.wait)
    assert (gate.answer.verdict, gate.answer.exit_code, gate.answer.worse) == (Verdict.FAIL, 1, ())
    noted = [note for note in gate.answer.notes if "The videos that got worse cannot be listed" in note]
    assert [str(says) in note for note in noted] == ([] if says is None else [True])


@pytest.mark.parametrize(("choice", "code", "tag"), [("pass", 0, "skipped"), ("fail", 3, "failure")])
def test_inconclusive_when_the_allowed_drop_lies_inside_the_interval(
    gate: Any, before: str, choice: str, code: int, tag: str
) -> None:
    found = gate(LITTLE_LESS, *DROP, "--inconclusive", choice)
    assert (found.code, found.json["verdict"]) == (code, "inconclusive")
    assert found.json["rules"][0]["low"] < -5 < found.json["rules"][0]["high"]
    assert found.cases[f"--max-drop {TOP1}=5"] == [tag, "system-out"]


@pytest.mark.parametrize(
    ("bound", "verdict", "code"), [(45, "pass", 0), (60, "inconclusive", 3), (75, "fail", 1)]
)
def test_a_minimum_is_judged_by_the_scores_interval(gate: Any, bound: int, verdict: str, code: int) -> None:
    found = gate(BEFORE, "--min", f"{TOP1}={bound}", "--inconclusive", "fail")
    assert (found.code, found.json["verdict"]) == (code, verdict)


def test_the_worst_verdict_wins(gate: Any, before: str) -> None:
    found = gate(MUCH_LESS, *DROP, "--min", f"{TOP1}=20", "--min", f"{TOP1}=5", "--inconclusive", "fail")
    assert [rule["verdict"] for rule in found.json["rules"]] == ["inconclusive", "pass", "fail"]
    assert found.code == 1


def test_the_first_run_has_nothing_to_compare_with_and_says_so(gate: Any) -> None:
    found = gate(BEFORE, *DROP, "--min", f"{TOP1}=40")
    assert (found.code, found.json["verdict"], found.json["baseline"]) == (0, "pass", None)
    assert found.cases[f"--max-drop {TOP1}=5"] == ["skipped", "system-out"]
    assert "no checkpoint is evaluated on gestures under quick-v1 yet" in found.err
    assert "no checkpoint is evaluated" in found.summary
    assert gate(BEFORE, *DROP, "--min", f"{TOP1}=90").code == 1  # again: it is not its own predecessor


def test_a_run_again_is_judged_against_what_was_before_it_not_after(gate: Any, before: str) -> None:
    first = gate(MUCH_LESS, *DROP)
    second = gate(MORE, *DROP)
    assert second.json["baseline"]["id"] == first.json["evaluation"]["id"]
    again = gate(MUCH_LESS, *DROP)
    assert again.json == first.json
    assert again.code == 1


def test_latest_passes_over_what_was_evaluated_elsewhere_or_never(
    gate: Any, before: str, client: Client, api: Served, tmp_path: Path
) -> None:
    with api.database.session() as session:
        ready_dataset(session, "others")
    client.upload(write_model(tmp_path / "never.json", BEFORE, salt=1), "mine")
    for dataset, protocol in (("others", "quick-v1"), ("gestures", "standard-v1")):
        path = write_model(tmp_path / "elsewhere.json", BEFORE, salt=dataset)
        client.wait(client.evaluate(client.upload(path, "mine"), dataset, protocol))
    assert gate(MORE, *DROP).json["baseline"]["id"] == before


def test_the_best_by_a_metric_and_an_evaluation_by_its_id(
    gate: Any, before: str, client: Client, tmp_path: Path
) -> None:
    best = ("--max-drop", f"{TOP1}=5", "--against", f"mine@best:{TOP1}")
    assert gate(MUCH_LESS, *best).json["baseline"]["id"] == before
    longer = client.upload(write_model(tmp_path / "x.json", range(100)), "mine-2")
    client.wait(client.evaluate(longer, "gestures", "quick-v1"))
    found = gate(MORE, *best)
    assert found.json["baseline"]["id"] == before  # not that of a model whose name contains this one's
    named = gate(MORE, "--max-drop", f"{TOP1}=5", "--against", before)
    assert (named.code, named.json["baseline"]["id"]) == (0, before)


def test_an_alias_is_a_baseline_and_a_former_name_of_a_model_is_too(
    gate: Any, before: str, client: Client
) -> None:
    client.set_alias("champion", client.evaluation(before).checkpoint.id)
    found = gate(MORE, "--against", "@champion", "--max-drop", f"{TOP1}=5")
    assert (found.code, found.json["verdict"], found.json["baseline"]["id"]) == (0, "pass", before), found.err
    missing = gate(MORE, "--against", "@chmpion", "--max-drop", f"{TOP1}=5")
    assert (missing.code, "no alias @chmpion" in missing.err) == (2, True)
    client.rename("mine", "ours")
    renamed = gate(MUCH_LESS, *DROP)  # both -m and --against by the old name
    assert (renamed.code, renamed.json["verdict"]) == (1, "fail"), renamed.err


def test_the_same_file_under_another_name_cannot_have_dropped(gate: Any, before: str) -> None:
    found = gate(BEFORE, "-m", "renamed", *DROP, "--inconclusive", "fail")
    assert (found.code, found.json["rules"][0]["reason"]) == (0, "the same weights")


@pytest.mark.parametrize(
    "other", [("--prefix", "teacher."), ("--variant", "bgr"), ("--input-spec", "crop=96")]
)
def test_another_network_of_the_same_file_or_one_that_takes_in_something_else_is_judged_by_its_scores(
    gate: Any, before: str, other: tuple[str, str]
) -> None:
    found = gate(BEFORE, *DROP, *other)
    assert found.json["baseline"]["id"] == before
    (rule,) = found.json["rules"]
    assert rule["low"] < 0 < rule["high"]
    assert rule["reason"] != "the same weights"
    assert not any("the same weights" in note for note in found.json["notes"])


def test_one_file_of_which_an_older_server_chose_another_network_is_judged_by_its_scores(
    gate: Any, before: str, api: Served
) -> None:
    with api.database.session() as session:
        for checkpoint in session.scalars(select(Checkpoint)):
            checkpoint.report = {"prefix": "", "network": "state_dict.", "others": ["ema_state_dict."]}
    (rule,) = gate(BEFORE, "-m", "renamed", *DROP).json["rules"]
    assert (rule["reason"] == "the same weights", rule["low"] < 0 < rule["high"]) == (False, True)


def test_latest_passes_over_what_another_version_evaluated(api: Served, gate: Any, before: str) -> None:
    with api.database.session() as session:
        session.execute(update(Evaluation).values(engine="planes-triangle-1/2/1/cloze"))
    found = gate(MORE, *DROP, "--min", f"{TOP1}=50")
    assert (found.code, found.json["verdict"]) == (0, "pass"), found.err
    assert found.json["baseline"] is None
    assert found.json["rules"][1]["verdict"] == "skipped" or found.json["rules"][0]["verdict"] == "skipped"


def test_another_models_latest_is_the_newest_whenever_that_was(
    gate: Any, before: str, client: Client, tmp_path: Path
) -> None:
    first = gate(MORE, "-m", "branch", *DROP)
    assert first.json["baseline"]["id"] == before
    newer = client.upload(write_model(tmp_path / "newer.json", BEFORE, salt=2), "mine")
    evaluation = client.wait(client.evaluate(newer, "gestures", "quick-v1"))
    assert gate(MORE, "-m", "branch", *DROP).json["baseline"]["id"] == evaluation.id


@pytest.mark.parametrize(("choice", "code"), [("pass", 0), ("fail", 3)])
@pytest.mark.parametrize("against", ["main@latest", f"main@best:{TOP1}"])
def test_beside_another_model_that_is_not_evaluated_there_nothing_passes_for_ever(
    gate: Any, client: Client, tmp_path: Path, against: str, choice: str, code: int
) -> None:
    client.upload(write_model(tmp_path / "main.json", BEFORE, salt=3), "main")
    words = ("--against", against, "--max-drop", f"{TOP1}=5", "--inconclusive", choice)
    found = gate(MORE, *words)
    assert (found.code, found.json["verdict"]) == (code, "inconclusive"), found.err
    assert found.json["rules"][0]["reason"].startswith(f"{against} is not evaluated here")


def test_what_cannot_be_judged_is_an_error_in_every_report(gate: Any, before: str) -> None:
    for words, says in (
        (("--against", "main@latest"), "has no model 'main'. Known: mine"),
        (("--against", "11111111-1111-1111-1111-111111111111"), "No evaluation 11111111"),
        (("--against", "mine@best:recognition.top11"), "Did you mean 'recognition.top1'?"),
        (("--min", "recognition.topp1=3"), "Did you mean 'recognition.top1'?"),
        (("--min", "cloze.temporal=40"), "its videos have 16 frames"),
        (("-d", "gesture"), "Did you mean 'gestures'?"),
        (("-p", "quick-v2"), "Did you mean 'quick-v1'?"),
    ):
        found = gate(MORE, "--max-drop", f"{TOP1}=5", "--against", "mine@latest", *words)
        assert (found.code, found.json["verdict"]) == (2, "error"), found.err
        assert says in found.json["error"]
        assert says in found.err
        assert "💥" in found.summary
        assert found.cases[f"--max-drop {TOP1}=5"][0] == "error"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--max-drop", f"{TOP1}=5"),
        ("--min", TOP1),
        ("--min", f"{TOP1}=many"),
        ("--min", f"{TOP1}=nan"),
        ("--max-drop", f"{TOP1}=-1", "--against", "mine@latest"),
        ("--against", "mine", "--max-drop", f"{TOP1}=1"),
        ("--against", "mine@best:", "--max-drop", f"{TOP1}=1"),
        ("--inconclusive", "perhaps"),
        ("--no-such-option",),
    ],
)
def test_bad_usage_is_2_before_anything_is_sent(tmp_path: Path, words: tuple[str, ...]) -> None:
    write_model(tmp_path / "new.json", MORE)
    found = Run(tmp_path, "http://127.0.0.1:1", "x", "new.json", "-m", "mine", *words)
    assert (found.code, found.json) == (2, {})
    assert "Traceback" not in found.err
    assert "reached" not in found.err


def test_a_checkpoint_that_is_refused_or_fails_is_an_error(gate: Any) -> None:
    refused = gate([], "--min", f"{TOP1}=1", reject="plain text, no weights")
    assert (refused.code, "was rejected: plain text, no weights" in refused.json["error"]) == (2, True)
    failed = gate([], "--min", f"{TOP1}=1", fail="out of memory")
    assert (failed.code, "is failed: out of memory" in failed.json["error"]) == (2, True)
    assert failed.json["evaluation"]["url"] in failed.summary


def test_a_wrong_token_is_2(gate: Any) -> None:
    found = gate(MORE, "--min", f"{TOP1}=1", token="vcp_wrong")
    assert (found.code, found.json["verdict"]) == (2, "error")
    assert "unknown or was revoked" in found.json["error"]


def test_a_file_that_is_not_there_is_2(api: Served, tmp_path: Path) -> None:
    found = Run(tmp_path, api.url, token_of(api), "gone.pt", "-m", "mine", "--min", f"{TOP1}=1")
    assert (found.code, "gone.pt cannot be read" in found.json["error"]) == (2, True)


def test_a_timeout_is_2_and_names_the_evaluation(gate: Any, hands: Hands) -> None:
    hands.work.clear()
    found = with_time_enough(
        lambda seconds: gate(MORE, "--min", f"{TOP1}=1", "--timeout", seconds),
        lambda run: run.json["evaluation"],
        first_s=2,
    )
    assert (found.code, found.json["verdict"]) == (2, "error")
    assert re.search(r"after \d+ s", found.json["error"])
    assert found.json["evaluation"]["id"] in found.summary


def test_a_server_that_is_killed_meanwhile_is_2(gate: Any, hands: Hands, line: Line, client: Client) -> None:
    hands.work.clear()

    def killed(seconds: str) -> Run:
        with ThreadPoolExecutor(1) as beside:
            judged = beside.submit(gate, MORE, "--min", f"{TOP1}=1", "--timeout", seconds, server=line.url)
            until(lambda: judged.done() or list(client.evaluations()))
            if list(client.evaluations()):
                line.kill()
            return judged.result()

    found = with_time_enough(killed, lambda run: list(client.evaluations()), first_s=5)
    assert (found.code, found.json["verdict"]) == (2, "error")
    assert "cannot be reached" in found.json["error"]


def test_a_server_that_is_not_there_is_2(gate: Any) -> None:
    found = gate(MORE, "--min", f"{TOP1}=1", "--timeout", "2", server="http://127.0.0.1:1")
    assert (found.code, "cannot be reached" in found.json["error"]) == (2, True)


def test_a_gate_waits_for_a_server_that_restarts_when_the_gate_begins(
    gate: Any, api: Served, line: Line
) -> None:
    line.close()
    with ThreadPoolExecutor(1) as beside:
        judged = beside.submit(gate, MORE, "--min", f"{TOP1}=1", server=line.url)
        time.sleep(UNKNOWN_S + 2)  # a client that expects no server would give up
        with closing(Line(api.url, port=int(line.url.rpartition(":")[2]))):
            assert judged.result().code == 0


@pytest.mark.parametrize(
    ("rule", "words", "code"),
    [
        (f"{TOP1}=50", (), 0),
        (f"{TOP1}=95", (), 1),
        (f"{TOP1}=75", ("--inconclusive", "fail"), 3),
        (f"{TOP1}=50", ("--json", "-"), 0),
        ("no.such.metric=1", (), 2),
        ("no rule", (), 2),
        (f"{TOP1}=50", ("--no-such-option",), 2),
    ],
)
def test_a_verdict_stands_though_nobody_reads_it(
    api: Served, hands: Hands, tmp_path: Path, rule: str, words: tuple[str, ...], code: int
) -> None:
    write_model(tmp_path / "new.json", MORE)
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [VCPBENCH, "gate", "new.json", "-m", "mine", *ON_BOARD, "--min", rule, *words],
        cwd=tmp_path,
        env={**os.environ, "VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)},
        stdout=writer,
        stderr=writer,
        timeout=DEADLINE_S,
    )
    os.close(writer)
    assert run.returncode == code


def test_what_cannot_be_written_for_want_of_space_is_2(api: Served, hands: Hands, tmp_path: Path) -> None:
    write_model(tmp_path / "new.json", MORE)
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [VCPBENCH, "gate", "new.json", "-m", "mine", *ON_BOARD, "--min", f"{TOP1}=1", "--json", "-"],
            cwd=tmp_path,
            env={**os.environ, "VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)},
            stdout=full,
            stderr=full,
            timeout=DEADLINE_S,
        )
    assert run.returncode == 2


def test_a_report_that_cannot_be_written_is_2(gate: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = gate(MORE, "--min", f"{TOP1}=1", files=("--summary", "s.md", "--junit", "file/j.xml"))
    assert (found.code, "file/j.xml cannot be written" in found.err) == (2, True)


def test_every_report_says_which_network_of_a_file_was_evaluated(gate: Any, before: str) -> None:
    network = {"used": "student.", "others": ["teacher."], "why": "as --prefix asked"}
    report = {"network": "student.", "others": ["teacher."], "why": "as --prefix asked"}
    found = gate(MORE, *DROP, report=report)
    assert found.json["evaluation"]["checkpoint"]["network"] == network
    assert found.json["baseline"]["checkpoint"]["network"] is None
    said = "Of this checkpoint: network 'student.' of the file: as --prefix asked."
    assert f"> {said}" in found.summary.replace("\\", "")
    assert "'teacher.'" in found.summary
    assert said in " ".join(found.err.split())
