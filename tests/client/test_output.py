"""Any terminal, any name: output is escaped where a code page ends, and never an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vcpbench_client.output import writable_json

from tests.client.conftest import Run, token_of
from tests.client.hands import Hands, write_model
from tests.forked import VCPBENCH
from tests.patience import DEADLINE_S
from tests.served import Served

pytestmark = pytest.mark.slow

ON_GESTURES = ("-d", "gestures", "-p", "quick-v1")
CODE_PAGES: list[dict[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "cp437"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX"},
]
FEW = [CODE_PAGES[0], CODE_PAGES[3], CODE_PAGES[4]]  # where one of each kind is enough
HELP = """
import sys
from vcpbench_client import cli
import typer

def walk(command, words):
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, [*words, name])

run = cli.load()
for words in list(walk(typer.main.get_command(cli.app), [])):
    sys.argv = ["vcpbench", *words, "--help"]
    try:
        run()
    except SystemExit as ended:
        assert not ended.code, words
"""
NO_UTF8 = b"caf\xe9.pt"  # latin-1, as an old archive holds it


def name_of(environment: dict[str, str]) -> str:
    return "-".join(environment.values())


@pytest.mark.parametrize("environment", CODE_PAGES, ids=name_of)
def test_every_commands_help_can_be_read(environment: dict[str, str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", HELP],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert (found.returncode, found.stderr) == (0, b""), found.stderr
    assert found.stdout.count(b"Usage: vcpbench") > 25


@pytest.mark.parametrize("environment", FEW, ids=name_of)
def test_tables_and_reports_are_written_whatever_the_code_page(
    run: Run, hands: Hands, tmp_path: Path, environment: dict[str, str]
) -> None:
    ids = []
    for right in (range(70), range(20)):
        write_model(tmp_path / "model.pt", right)
        found = run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES, "--json", **environment)
        ids.append(json.loads(found.stdout)["id"])
    compared = run("compare", *ids, **environment)
    assert (compared.returncode, "Traceback" in compared.stderr) == (0, False), compared.stderr
    assert "\\u25bc" in compared.stdout or "▼" in compared.stdout
    rule, report = ("--min", "recognition.top1=90"), ("--summary", "summary.md")
    gate = run("gate", "model.pt", "-m", "mine", *ON_GESTURES, *rule, *report, **environment)
    assert gate.returncode == 1, gate.stderr
    assert "❌" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_json_is_json_in_every_code_page(run: Run, api: Served, hands: Hands, tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt", range(70))
    found = run("evaluate", "model.pt", "-m", "mine", *ON_GESTURES, "--json", PYTHONIOENCODING="ascii")
    results = run("results", json.loads(found.stdout)["id"], "--json", PYTHONIOENCODING="ascii")
    assert json.loads(results.stdout)["warnings"] == ["no video was looked at"]


@pytest.mark.parametrize("value", ["Zürich ▲ 😀", "plain", {"é": ["\ud83d"]}])
def test_json_in_a_small_code_page_says_the_same(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    for encoding in ("ascii", "latin-1", "cp437", "utf-8", None):
        written = writable_json(text, encoding)
        assert json.loads(written) == value
        written.encode(encoding or "ascii")


@pytest.mark.parametrize("environment", [{}, *FEW], ids=name_of)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes names that are not UTF-8")
def test_a_file_whose_name_is_no_text_is_uploaded_and_named_by_escapes(
    api: Served, hands: Hands, tmp_path: Path, environment: dict[str, str]
) -> None:
    write_model(tmp_path / "model.pt", range(70)).rename(os.fsdecode(bytes(tmp_path) + b"/" + NO_UTF8))
    login = {"VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)}
    found = subprocess.run(
        [VCPBENCH.encode(), b"upload", NO_UTF8, b"-m", b"mine"],
        cwd=tmp_path,
        env={**os.environ, **login, **environment},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert (found.returncode, b", ready, r3d_tiny" in found.stdout) == (0, True), found.stderr
    gone = subprocess.run(
        [VCPBENCH.encode(), b"upload", b"gone-" + NO_UTF8, b"-m", b"mine"],
        cwd=tmp_path,
        env={**os.environ, **login, **environment},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert gone.returncode == 2
    assert b"cannot be read: No such file" in gone.stderr
    assert b"Traceback" not in gone.stderr


@pytest.mark.parametrize(
    "words",
    [
        [b"upload", b"model.pt", b"-m", b"caf\xe9"],
        [b"evaluate", b"caf\xe9@latest"],
        [b"status", b"caf\xe9"],
        [b"results", b"caf\xe9"],
        [b"evaluations", b"--model", b"caf\xe9"],
        [b"leaderboard", b"-d", b"caf\xe9"],
        [b"compare", b"caf\xe9", b"x"],
    ],
    ids=lambda words: words[0].decode(),
)
def test_a_word_that_is_no_text_is_refused_in_a_line(api: Served, tmp_path: Path, words: list[bytes]) -> None:
    write_model(tmp_path / "model.pt", range(70))
    found = subprocess.run(
        [VCPBENCH.encode(), *words],
        cwd=tmp_path,
        env={**os.environ, "VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert found.returncode == 2
    assert b"holds bytes that are not UTF-8 and cannot be sent" in found.stderr
    assert b"Traceback" not in found.stderr


def test_an_upload_that_succeeded_does_not_fail_for_a_full_disk(
    api: Served, hands: Hands, tmp_path: Path
) -> None:
    write_model(tmp_path / "model.pt", range(70))
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [VCPBENCH, "upload", "model.pt", "-m", "mine", "--json"],
            cwd=tmp_path,
            env={**os.environ, "VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
        )
    assert found.returncode == 0, found.stderr
    assert "is uploaded. Standard output cannot be written: No space left on device." in found.stderr


def test_any_other_command_fails_for_a_full_disk_in_a_line(api: Served) -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [VCPBENCH, "protocols", "--json"],
            env={**os.environ, "VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
        )
    said = "Standard output cannot be written: No space left on device.\n"
    assert (found.returncode, found.stderr) == (2, said)
