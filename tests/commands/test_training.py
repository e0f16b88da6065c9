"""What pretraining and finetuning share as commands: turns at the dataset, and the loss beside the bar."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from stack.commands.finetune import finetune
from stack.commands.pretrain import pretrain, shown_next
from stack.commands.training import Running, Watched, machine, taking_turns
from tests.patience import DEADLINE_S
from vcp_core.catalog.errors import TrainingError
from vcp_core.pretraining.config import FinetuneConfig, PretrainConfig, TrainingConfig, option_of
from vcp_core.pretraining.runs import RunProgress
from vcp_core.pretraining.start import Machine


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
    assert entered.wait(DEADLINE_S)
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
    watched.on_start("tiny", (), RunProgress())
    for step, loss in enumerate((2.0, 2.0, 1.0)):
        watched.on_step(step + 1, 3, loss)
    assert told[0] == ("training tiny", 1, 3, "loss 2.000")
    assert told[2] == ("training tiny", 3, 3, "loss 1.649")


def test_the_end_of_pretraining_says_how_to_see_its_scores_and_its_loss() -> None:
    evaluate, log = shown_next(Path("my runs/r3d"), "r3d").splitlines()[1:]
    assert evaluate == "vcpbench evaluate 'my runs/r3d/checkpoints'/*.safetensors --model r3d"
    assert log == "vcpbench log upload 'my runs/r3d/log.csv' --model r3d --run r3d"


def test_a_running_mean_ends_near_the_latest_values() -> None:
    loss = Running()
    for value in [2.0] * 50 + [1.0] * 100:
        mean = loss.after(value)
    assert mean == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("command", "config"), [(pretrain, PretrainConfig), (finetune, FinetuneConfig)])
def test_every_number_of_a_run_is_called_by_an_option_that_its_command_has(
    command: Callable[..., None], config: type[TrainingConfig]
) -> None:
    alone = typer.Typer()
    alone.command()(command)
    options = {word for one in typer.main.get_command(alone).params for word in one.opts}
    named = {option_of(field.name) for field in dataclasses.fields(config)}
    assert named - {None} <= options


def test_the_commands_take_their_numbers_from_the_configurations() -> None:
    for command, config in ((pretrain, PretrainConfig()), (finetune, FinetuneConfig())):
        named = {option_of(field.name): getattr(config, field.name) for field in dataclasses.fields(config)}
        alone = typer.Typer()
        alone.command()(command)
        for parameter in typer.main.get_command(alone).params:
            for word in set(parameter.opts) & set(named):
                wanted = named[word]
                assert parameter.default == (",".join(wanted) if isinstance(wanted, tuple) else wanted), word


def test_the_commands_load_neither_pydantic_nor_torch() -> None:
    """Every start of `vcpbench` imports all commands, and pydantic alone takes 150 ms."""
    script = (
        "import sys, stack.commands.pretrain, stack.commands.finetune;"
        "print([name for name in ('pydantic', 'numpy', 'torch') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_limit_that_is_no_number_of_bytes_is_refused_by_its_option() -> None:
    for nonsense in (float("inf"), float("nan"), -1.0):
        with pytest.raises(TrainingError, match=f"--frames-gb must be .* got {nonsense:g}"):
            machine(None, nonsense)


@pytest.mark.parametrize("command", [pretrain, finetune])
def test_frames_take_as_much_room_from_the_command_as_from_python(command: Callable[..., None]) -> None:
    usual = inspect.signature(command).parameters["frames_gb"].default
    assert machine(None, usual) == Machine()
