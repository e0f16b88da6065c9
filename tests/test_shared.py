"""Tests that need ../shared, with the folder and without it: each test runs pytest on a small project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
from pathlib import Path
from tests.shared import SharedTests

def pytest_configure(config):
    config.pluginmanager.register(SharedTests(Path(__file__).parent / "shared"))
"""
RUNS = """
import pytest
from tests.shared import needs_shared

@needs_shared
def test_reads():
    pass

@needs_shared
@pytest.mark.xfail(strict=True)
def test_known_to_fail():
    raise AssertionError

def test_reads_nothing():
    pass
"""
SKIPS = """
import pytest
from tests.shared import needs_shared

@needs_shared
def test_gives_up():
    pytest.skip("no such lists")

@needs_shared
@pytest.mark.skipif(True, reason="another reason")
def test_not_here():
    pass

def test_reads_nothing():
    pytest.skip("no GPU")
"""
SECTION = re.compile(r"=+ tests that need \.\./shared =+\n(.*?)\n=", re.DOTALL)


def run(project: Path, *, words: tuple[str, ...] = (), folder: bool, **files: str) -> tuple[int, str, str]:
    """Exit code, the summary's section on ../shared ("" without one), and all that pytest printed."""
    for name, text in {"conftest": CONFTEST, **files}.items():
        (project / f"{name}.py").write_text(text, encoding="utf-8")
    if folder:
        (project / "shared").mkdir()
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    found = SECTION.search(done.stdout)
    return done.returncode, found[1].strip() if found else "", done.stdout + done.stderr


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_without_the_folder_such_tests_are_skipped_counted_and_the_run_passes(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, section, said = run(tmp_path, words=words, folder=False, test_runs=RUNS, test_skips=SKIPS)
    assert code == 0, said
    assert section == "tests: 4, skipped: 4"


def test_with_the_folder_such_tests_run(tmp_path: Path) -> None:
    code, section, said = run(tmp_path, folder=True, test_runs=RUNS)
    assert code == 0, said
    assert section == "tests: 2, skipped: 0"
    assert "2 passed, 1 xfailed" in said


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_with_the_folder_a_run_fails_that_skipped_such_a_test(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, section, said = run(tmp_path, words=words, folder=True, test_runs=RUNS, test_skips=SKIPS)
    assert code == 1, said
    assert section.splitlines() == [
        "tests: 4, skipped: 2",
        "FAILED test_skips.py::test_gives_up: skipped, although ../shared is there",
        "FAILED test_skips.py::test_not_here: skipped, although ../shared is there",
    ]


def test_a_run_without_such_tests_says_nothing_of_them(tmp_path: Path) -> None:
    code, section, said = run(tmp_path, folder=True, test_other="def test_one():\n    pass\n")
    assert (code, section) == (0, ""), said
    assert "../shared" not in said
