"""What pretraining and finetuning share as commands: turns at the dataset, and the loss beside the bar."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stack.commands.training import Running, Watched, taking_turns
from vcp_core.pretraining.runs import Place


def test_processes_of_torchrun_read_the_dataset_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    entered = threading.Event()

    def other() -> None:
        with taking_turns():
            entered.set()

    waiting = threading.Thread(target=other)
    with taking_turns():
        waiting.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    waiting.join()


def test_a_process_on_its_own_waits_for_nobody_and_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with taking_turns(), taking_turns():
        pass
    assert not (tmp_path / "cache").exists()


def test_the_bar_says_a_loss_that_follows_the_steps() -> None:
    told: list[tuple[str, int, int, str]] = []
    watched = Watched(lambda stage, done, total, words="": told.append((stage, done, total, words)), 2)
    watched.on_start("tiny", (), Place())
    for step, loss in enumerate((2.0, 2.0, 1.0)):
        watched.on_step(step + 1, 3, loss)
    assert told[0] == ("training tiny", 1, 3, "loss 2.000")
    assert told[2] == ("training tiny", 3, 3, "loss 1.649")


def test_a_running_mean_ends_near_the_latest_values() -> None:
    loss = Running()
    for value in [2.0] * 50 + [1.0] * 100:
        mean = loss.after(value)
    assert mean == pytest.approx(1.0, abs=0.01)
