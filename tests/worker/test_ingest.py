"""What a file says of run and step, beside what was declared."""

from __future__ import annotations

from typing import Any

import pytest

from records.models import Checkpoint
from worker.tasks.ingest import _name


def named(training: dict[str, Any] | None, **declared: Any) -> Checkpoint:
    """A checkpoint of that report, once it is read."""
    if training is not None:
        facts: dict[str, Any] = {"step": None, "epoch": None, "run": None}
        sources = {fact: f"'{fact}' in the file" for fact in training}
        training = {**facts, **training, "sources": sources}
    row = Checkpoint(report={"notes": ["a note"], "origin": None, "training": training}, **declared)
    _name(row)
    return row


def test_a_file_gives_the_run_and_step_that_were_not_declared() -> None:
    row = named({"step": 2000, "epoch": 1, "run": "night"})
    assert (row.run, row.step) == ("night", 2000)
    assert named({"step": 2000, "run": "x" * 150}).run == "x" * 100


def test_a_file_that_counts_only_epochs_has_them_for_its_step() -> None:
    assert named({"epoch": 195}).step == 195
    assert named({"epoch": 195}, step=3).step == 3


@pytest.mark.parametrize("step", [0, 7])
def test_what_was_declared_stands_and_a_difference_is_noted(step: int) -> None:
    row = named({"step": 2000, "run": "night"}, step=step, run="mine")
    assert (row.run, row.step) == ("mine", step)
    assert row.report is not None
    assert row.report["notes"] == ["a note", f"the declared step is {step}; 'step' in the file is 2000"]


def test_a_declared_run_gets_the_files_step_and_no_note_where_both_agree() -> None:
    row = named({"step": 2000}, run="mine")
    assert (row.run, row.step) == ("mine", 2000)
    again = named({"step": 2000}, step=2000)
    assert again.report is not None
    assert again.report["notes"] == ["a note"]


def test_a_file_that_says_nothing_changes_nothing() -> None:
    for training in (None, {}):
        row = named(training, run="mine", step=4)
        assert (row.run, row.step) == ("mine", 4)
    old = Checkpoint(report={"notes": [], "backbone": "r3d"})  # from before files were asked
    _name(old)
    assert (old.run, old.step) == (None, None)
