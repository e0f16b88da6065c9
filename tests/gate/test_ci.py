"""The GitHub Action and the GitLab template: their own shell, run by bash against a running service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
import yaml
from vcpbench_client.commands.gate import gate

from tests.client.conftest import token_of
from tests.client.hands import Hands, write_model
from tests.patience import DEADLINE_S
from tests.served import Served

ROOT = Path(__file__).resolve().parents[2]
TOP1 = "recognition.top1"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB: dict[str, Any] = yaml.safe_load((ROOT / "ci/gitlab.yml").read_text())[".vcpbench-gate"]
(STEP,) = ACTION["runs"]["steps"]
ENV: dict[str, str] = STEP["env"]
EXPRESSION = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
NO_INDEX = ("Could not find a version", "Failed to establish", "No matching distribution", "ConnectionError")


class Job:
    """A job of GitHub's: what it left, as GitHub reads it.

    Attributes:
        code: Exit code of the step.
        outputs: Of the action.
        summary: On the job's page.
        log: Everything that was printed.
    """

    def __init__(self, folder: Path, temp: Path, inputs: dict[str, str]) -> None:
        output, summary = folder / "output", folder / "summary"
        for file in (output, summary):
            file.write_text("")
        values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
        environment = {
            name: EXPRESSION.sub(lambda found: values[found[1]], text) for name, text in ENV.items()
        }
        run = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
            cwd=folder,
            env={
                **os.environ,
                **environment,
                "RUNNER_TEMP": str(temp),
                "GITHUB_ACTION_PATH": str(temp / "action"),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        self.code, self.log = run.returncode, run.stdout + run.stderr
        self.outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        self.summary = summary.read_text()


@pytest.fixture(scope="session")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's folder; the client is installed there by the action itself, once."""
    folder = tmp_path_factory.mktemp("runner")
    ignored = shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT / "client", folder / "action" / "client", ignore=ignored)
    (folder / "first").mkdir()
    job = Job(
        folder / "first",
        folder,
        {"file": "none", "dataset": "none", "python": sys.executable, "timeout": "1"},
    )
    if any(words in job.log for words in NO_INDEX):
        reason = "no package index to install the client from"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    assert job.code == 2, job.log
    return folder


@pytest.fixture
def job(api: Served, hands: Hands, temp: Path, tmp_path: Path) -> Callable[..., Job]:
    """Runs the action for a model that answers these rightly."""

    def run(right: Any, **inputs: str) -> Job:
        write_model(tmp_path / "new model.json", right)
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        needed = {"file": "new model.json", "model": "mine", "dataset": "gestures", "protocol": "quick-v1"}
        return Job(tmp_path, temp, {"url": api.url, "token": token_of(api), **needed, **given})

    return run


@pytest.mark.product
def test_the_action_gives_each_verdict_by_exit_code_output_and_summary(job: Callable[..., Job]) -> None:
    rules = {"against": "mine@latest", "max_drop": f"{TOP1}=5\n", "min": f"{TOP1}=10\n\n{TOP1}=11"}
    said = {"pretrained_on": "none", "private": "false"}
    found = job(range(60), **rules, **said, run="nightly run", step="1", junit="reports/j.xml")
    assert (found.code, found.outputs["verdict"]) == (0, "pass"), found.log
    found = job(range(20), **rules)
    assert (found.code, found.outputs["verdict"]) == (1, "fail"), found.log
    assert re.fullmatch(r"http://[\d.:]+/evaluations/[0-9a-f-]{36}", found.outputs["evaluation-url"])
    assert found.outputs["evaluation-url"] in found.summary
    assert found.summary.startswith("## ❌ vcpbench gate: fail")
    for choice, code in (("pass", 0), ("fail", 3)):
        found = job(range(60), min=f"{TOP1}=60", inconclusive=choice)
        assert (found.code, found.outputs["verdict"]) == (code, "inconclusive"), found.log
    found = job(range(60), min=f"{TOP1}=60", token="vcp_wrong")
    assert (found.code, found.outputs) == (2, {"verdict": "error", "evaluation-url": ""}), found.log
    assert "💥" in found.summary
    assert "revoked" in found.summary


@pytest.mark.product
def test_an_input_is_no_code(job: Callable[..., Job], tmp_path: Path) -> None:
    found = job(
        range(60), model='x"; touch pwned; $(touch pwned) `touch pwned`', min=f"{TOP1}=$(touch pwned)"
    )
    assert (found.code, found.outputs["verdict"]) == (2, "error")
    assert not (tmp_path / "pwned").exists()
    assert "${{" not in STEP["run"]
    assert {name for text in ENV.values() for name in EXPRESSION.findall(text)} == set(ACTION["inputs"])


@pytest.mark.product
def test_bad_usage_and_a_python_that_is_not_there_are_errors_with_an_output(
    job: Callable[..., Job], tmp_path: Path
) -> None:
    found = job(range(60), min="")
    assert (found.code, found.outputs["verdict"]) == (2, "error")
    found = job(range(60), min=f"{TOP1}=10", private="yes")
    assert (found.code, found.outputs) == (2, {"verdict": "error"})
    assert "::error::The input private is neither" in found.log
    (tmp_path / "elsewhere").mkdir()
    bare = Job(tmp_path, tmp_path / "elsewhere", {"dataset": "gestures", "python": "no-such-python"})
    assert (bare.code, bare.outputs["verdict"]) == (2, "error")
    assert "could not be installed" in bare.log


@pytest.mark.product
def test_the_action_judges_on_no_videos_that_nobody_named(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_DATASET", "playground-64")
    found = job(range(60), dataset="", min=f"{TOP1}=10")
    assert (found.code, found.outputs, found.summary) == (2, {"verdict": "error"}, "")
    assert "::error::The input dataset is empty" in found.log
    assert ACTION["inputs"]["dataset"]["required"] is True


def test_every_option_of_the_gate_is_an_input_of_both() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(gate)
    params = typer.main.get_command(app).params
    options = {max(one.opts, key=len).lstrip("-") for one in params} - {"summary", "json"}  # theirs to choose
    assert set(ACTION["inputs"]) == options | {"url", "token", "python"}
    script = "\n".join(GITLAB["script"])
    wanted = {f"GATE_{one.upper().replace('-', '_')}" for one in options - {"junit"}}
    assert {name for name in wanted if f"${name}" not in script} == set()
    assert set(GITLAB["variables"]) == wanted - {"GATE_FILE", "GATE_MODEL"} | {"VCPBENCH_CLIENT"}


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"GATE_DATASET": "ucf101"}, "git+https://"),
        ({"GATE_DATASET": "ucf101", "GATE_PRIVATE": "yes"}, "neither true nor false"),
        ({}, "Set GATE_DATASET"),
    ],
)
def test_the_gitlab_template_installs_and_judges_on_nothing_that_nobody_named(
    tmp_path: Path, named: dict[str, str], says: str
) -> None:
    run = subprocess.run(
        ["sh", "-e", "-c", "\n".join(GITLAB["script"])],
        cwd=tmp_path,
        env={**os.environ, **GITLAB["variables"], "GATE_FILE": "new.json", "GATE_MODEL": "mine", **named},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (run.returncode, list(tmp_path.iterdir())) == (2, [])
    assert says in run.stderr


def test_its_outputs_are_the_steps() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.{STEP['id']}.outputs.{name} }}}}"


@pytest.mark.product
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_gitlab_template_judges_and_leaves_its_reports(
    api: Served, hands: Hands, temp: Path, tmp_path: Path, shell: str
) -> None:
    (tmp_path / ".vcpbench").symlink_to(temp / "vcpbench")
    write_model(tmp_path / "new.json", range(60))
    variables = {
        **GITLAB["variables"],
        "VCPBENCH_URL": api.url,
        "VCPBENCH_TOKEN": token_of(api),
        "GATE_FILE": "new.json",
        "GATE_MODEL": "mine",
        "GATE_DATASET": "gestures",
        "GATE_PROTOCOL": "quick-v1",
        "GATE_AGAINST": "mine@latest",
        "GATE_MAX_DROP": f"{TOP1}=5 recognition.knn.top1=5",
        "GATE_RUN": "nightly run",
        "GATE_STEP": "12",
        "GATE_PRETRAINED_ON": "ucf101:1, kinetics400",
        "GATE_PRIVATE": "true",
    }
    codes = []
    for minimum in ("45", "60", "75"):
        run = subprocess.run(
            [shell, "-e", "-c", "\n".join(GITLAB["script"])],
            cwd=tmp_path,
            env={**os.environ, **variables, "GATE_MIN": f"{TOP1}={minimum} {TOP1}=1"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        codes.append(run.returncode)
        cases = list(ElementTree.parse(tmp_path / GITLAB["artifacts"]["reports"]["junit"]).iter("testcase"))
        assert len(cases) == 4
    assert codes == [0, 3, 1]
    (uploaded,) = api.client.get("/v1/checkpoints").json()["items"]
    said = (uploaded["run"], uploaded["step"], uploaded["pretrained_on"])
    assert said == ("nightly run", 12, "ucf101:1, kinetics400")
    assert uploaded["private"] is True
    assert GITLAB["allow_failure"] == {"exit_codes": [3]}
    assert (tmp_path / "vcpbench" / "summary.md").read_text().startswith("## ❌")


@pytest.mark.product
def test_the_client_alone_is_small_quick_and_loads_nothing_large(temp: Path) -> None:
    python = temp / "vcpbench" / "bin" / "python"
    code = "import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"
    names = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    for unwanted in ("torch", "fastapi", "pydantic", "numpy", "sqlalchemy"):
        assert f'"{unwanted}"' not in names.lower()
    (packages,) = (temp / "vcpbench" / "lib").glob("python*/site-packages")
    came_with_python = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = [
        file
        for entry in packages.iterdir()
        if not entry.name.startswith(came_with_python)
        for file in ([entry] if entry.is_file() else entry.rglob("*"))
    ]
    size_mb = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    print(f"installed: {size_mb:.1f} MB")
    assert size_mb < 30
    command = [python, "-X", "importtime", temp / "vcpbench" / "bin" / "vcpbench", "--help"]
    trace = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    loaded = {line.rpartition("|")[2].strip() for line in trace.splitlines()}
    assert "typer" in loaded
    assert not {"httpx", "ssl", "asyncio"} & loaded  # each costs more than --help's own work
