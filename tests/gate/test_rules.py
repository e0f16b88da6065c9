"""Thresholds that nobody can mean are refused, and odd ones are told in every report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vcpbench_client.errors import GateError
from vcpbench_client.gate.rules import Rule

from tests.client.conftest import Run
from tests.client.hands import Hands, write_model

TOP1 = "recognition.top1"
SAID = f"--min {TOP1}=0.4%: 0.4 means 0.4 percent. Did you mean 40?"


@pytest.mark.parametrize(
    ("kind", "number", "says"),
    [
        ("min", "-5", "from 0 to 100"),
        ("min", "100.1", "from 0 to 100"),
        ("min", "4000", "from 0 to 100"),
        ("min", "1e9%", "from 0 to 100"),
        ("min", "nan", "METRIC=NUMBER"),
        ("min", "inf", "METRIC=NUMBER"),
        ("min", "-inf", "METRIC=NUMBER"),
        ("min", "forty", "METRIC=NUMBER"),
        ("min", "", "METRIC=NUMBER"),
        ("min", "0.4", r"Did you mean 40\? If you do mean 0.4 percent, write recognition.top1=0.4%"),
        ("min", "0.999", "Did you mean 99.9"),
        ("min", ".001", "Did you mean 0.1"),
        ("max-drop", "-1", "0 to 100 percentage points"),
        ("max-drop", "101", "0 to 100 percentage points"),
        ("max-drop", "nan", "METRIC=NUMBER"),
    ],
)
def test_a_threshold_that_nobody_can_mean_is_refused(kind: str, number: str, says: str) -> None:
    with pytest.raises(GateError, match=says):
        Rule.parse(kind, f"{TOP1}={number}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "number", "bound"),
    [
        ("min", "0", 0),
        ("min", "1", 1),
        ("min", "40%", 40),
        ("min", " 39.5 ", 39.5),
        ("min", "100", 100),
        ("max-drop", "0", 0),
        ("max-drop", "0.5", 0.5),
        ("max-drop", "100", 100),
    ],
)
def test_every_threshold_that_can_be_meant_is_taken_without_a_word(
    kind: str, number: str, bound: float
) -> None:
    rule = Rule.parse(kind, f"{TOP1}={number}")  # type: ignore[arg-type]
    assert (rule.bound, rule.warning) == (bound, None)
    assert Rule.parse(rule.kind, str(rule)) == rule


def test_a_share_of_a_percent_is_taken_if_it_is_written_so_and_every_report_warns(
    run: Run, hands: Hands, tmp_path: Path
) -> None:
    assert str(Rule.parse("min", f"{TOP1}=0.4%")) == f"{TOP1}=0.4%"
    write_model(tmp_path / "model.pt", range(60))
    words = ("gate", "model.pt", "-m", "mine", "-d", "gestures", "-p", "quick-v1")
    found = run(*words, "--min", f"{TOP1}=0.4%", "--summary", "s.md", "--json", "g.json")
    assert found.returncode == 0, found.stderr
    assert SAID in found.stderr
    assert SAID in json.loads((tmp_path / "g.json").read_text())["notes"]
    assert "0.4 means 0.4 percent. Did you mean 40?" in (tmp_path / "s.md").read_text()
    failed = run(*words, "--min", f"{TOP1}=0.4%", "--timeout", "0", "--json", "-")
    assert (failed.returncode, json.loads(failed.stdout)["notes"]) == (2, [SAID])


def test_a_fraction_is_bad_usage_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt", range(60))
    found = run("gate", "model.pt", "-m", "mine", "--min", f"{TOP1}=0.4", "--json", "-")
    assert found.returncode == 2
    error = json.loads(found.stdout)["error"]
    assert (error["type"], "Did you mean 40?" in error["message"]) == ("GateError", True)
    assert "hashing" not in found.stderr
