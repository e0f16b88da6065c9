"""Chaos, load, watchers and fuzzing, for less long than by their commands (docs/operating.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.rehearsal.videos import make

pytestmark = pytest.mark.product


def printed(module: str, *options: str) -> dict[str, Any]:
    """The numbers that a bench prints for programs. It exits with 1, too, if others keep the machine busy."""
    run = subprocess.run(
        [sys.executable, "-m", module, *options, "--json"], capture_output=True, text=True, check=False
    )
    assert run.stdout, run.stderr
    return dict(json.loads(run.stdout))


def test_some_seconds_of_chaos_lose_double_and_change_nothing() -> None:
    found = printed("bench.chaos", "--seconds", "6")
    bad = ("lost", "not_failed_by_their_reason", "given_up", "other_scores", "doubled")
    assert not any(found[name] for name in bad), found
    assert found["sound"] == found["done"] > 0
    assert sum(found["blows"].values()) > 0


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a small service: sixteen videos, and few evaluations and readers."""
    videos = tmp_path_factory.mktemp("bench") / "videos"
    make(videos, 2)
    return ("--dataset", str(videos), "--evaluations", "500", "--readers", "10", "--seconds", "10")


def test_readers_and_uploads_at_once_meet_no_error(few: tuple[str, ...]) -> None:
    found = printed("bench.load", *few, "--uploads", "2", "--upload-bytes", "5000000")
    assert found["errors"] == []
    assert found["uploads"] >= 2
    assert found["api_mib"] < 500


def test_watchers_miss_no_event_while_the_board_is_read(few: tuple[str, ...]) -> None:
    found = printed("bench.watchers", *few, "--watchers", "120")
    assert (found["watchers"], found["wrong"]) == (120, 0)
    assert found["delivered"] == found["expected"] > 0
    assert found["board_with"]["errors"] == []


def test_edge_cases_of_every_operation_get_answers_that_the_description_allows() -> None:
    command = [sys.executable, "-m", "bench.fuzz", "--short", "--seconds", "60"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
