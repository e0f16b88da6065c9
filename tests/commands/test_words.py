"""What every command of the whole installation shares: examples, errors as JSON, names of any bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from vcpbench_client import cli

from tests.forked import VCPBENCH, run_vcpbench
from tests.patience import DEADLINE_S

pytestmark = pytest.mark.slow


def every_command() -> Iterator[tuple[str, str]]:
    """Each command's words and what it says of itself."""
    cli.load()

    def walk(command: Any, words: str) -> Iterator[tuple[str, str]]:
        for name, child in sorted(getattr(command, "commands", {}).items()):
            yield from walk(child, f"{words} {name}".strip())
        if not hasattr(command, "commands"):
            yield words, command.help or ""

    yield from walk(typer.main.get_command(cli.app), "")


def nobodys(folder: Path) -> dict[str, str]:
    """An environment in which no server is named."""
    nobody = {"VCPBENCH_URL": "", "VCPBENCH_TOKEN": "", "XDG_CONFIG_HOME": str(folder / "config")}
    return {**os.environ, **nobody}


def vcpbench(folder: Path, *words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [VCPBENCH, *words],
        cwd=folder,
        env={**nobodys(folder), **environment},
        capture_output=True,
        timeout=DEADLINE_S,
    )


def test_every_command_shows_an_example() -> None:
    # In a process of its own: commands are collected once in each, and standard output is replaced for good.
    code = "from tests.commands import test_words as t; print(t.json.dumps(dict(t.every_command())))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    commands: dict[str, str] = json.loads(found.stdout)
    assert len(commands) > 25
    without = [words for words, says in commands.items() if f"vcpbench {words}" not in says]
    assert without == []


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (("inspect", "gone.pt", "--json"), "NotACheckpoint", "gone.pt: no such file"),
        (("dataset", "show", "gone", "--json"), "UnknownName", "No dataset or folder 'gone'"),
        (("dataset", "make", "ucf101", "--json"), "DatasetError", "does not make the videos of ucf101"),
        (("local", "gone.pt", "--json", "-"), "NotACheckpoint", "gone.pt: no such file"),
        (("reproduce", "gone", "--json"), "CannotReproduce", "No server is named"),
        (("token", "list", "--home", "gone", "--json"), "StackError", "vcpbench up"),
        (("status", "some-id", "--json"), "Misconfigured", "No server is named"),
        (("models", "--json"), "Misconfigured", "No server is named"),
        (("gate", "model.pt", "-m", "mine", "--json", "-"), "GateError", "A gate without rules"),
        (("evaluate", "--json"), "UsageError", "Missing argument"),
        (("inspect", "gone.pt", "--jsn", "--json"), "UsageError", "No such option"),
        (("inspct", "gone.pt", "--json"), "UsageError", "inspect"),
        (("--bogus", "models", "--json"), "UsageError", "--bogus"),
    ],
)
def test_errors_under_json_are_json_and_said_on_standard_error_too(
    tmp_path: Path, words: tuple[str, ...], kind: str, says: str
) -> None:
    found = run_vcpbench(*words, cwd=tmp_path, env=nobodys(tmp_path))
    assert found.returncode == 2, found.stderr
    error = json.loads(found.stdout)["error"]
    assert (error["type"], says in error["message"]) == (kind, True), error
    assert says in found.stderr
    without = [word for word in words if word not in ("--json", "-")]
    assert run_vcpbench(*without, cwd=tmp_path, env=nobodys(tmp_path)).stdout == ""


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}], ids=str)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes names that are not UTF-8")
def test_a_name_that_is_no_text_is_said_by_escapes(tmp_path: Path, environment: dict[str, str]) -> None:
    for words in ((b"inspect", b"caf\xe9.pt"), (b"dataset", b"show", b"caf\xe9"), (b"local", b"caf\xe9.pt")):
        found = vcpbench(tmp_path, *words, **environment)
        assert found.returncode == 2
        # The byte as it is, or in the quotes of an unknown name as Python writes it.
        assert rb"caf\xe9" in found.stderr or rb"'caf\udce9'" in found.stderr
        assert b"Traceback" not in found.stderr
