"""Runs: killed, interrupted, resumed, on two processes; what they leave behind."""

from __future__ import annotations

import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch

import vcp_core
from tests.patience import DEADLINE_S
from tests.pretraining.kit import tiny_run, train
from vcp_core.catalog import logs
from vcp_core.catalog.errors import StorageError, TrainingError
from vcp_core.checkpoints.origin import read_origin
from vcp_core.datasets.manifest import Dataset
from vcp_core.pretraining import Machine, PretrainConfig, pretrain
from vcp_core.pretraining.runs import RunFolder, RunProgress

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STEPS = 12  # three epochs of four steps


@pytest.fixture(scope="module")
def manifest(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "dataset.json"
    path.write_text(dataset.to_json())
    return path


def child(manifest: Path, out: Path, *options: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "tests.pretraining.kit", str(manifest), str(out), *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"ended before {line!r}: {process.stderr.read() if process.stderr else ''}")


def left_behind(out: Path) -> dict[str, Any]:
    """Everything of a run but clocks: weights, momentum, place, log, checkpoints' bytes."""
    state = torch.load(out / "state.pt", weights_only=True)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {
        "place": state["place"],
        "tensors": {
            **state["model"],
            **{
                f"{i}.{name}": tensor
                for i, one in state["optimizer"]["state"].items()
                for name, tensor in one.items()
            },
        },
        "log": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
        "files": {path.name: path.read_bytes() for path in sorted(out.rglob("*.safetensors"))},
    }


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first["place"] == second["place"]
    assert first["log"] == second["log"]
    assert first["files"] == second["files"]
    assert first["tensors"].keys() == second["tensors"].keys()
    for key, tensor in first["tensors"].items():
        assert torch.equal(tensor, second["tensors"][key]), key


def test_a_run_killed_at_a_random_step_and_resumed_gives_the_same_weights_as_one_that_was_not(
    dataset: Dataset, manifest: Path, tmp_path: Path
) -> None:
    killed_at = random.SystemRandom().randint(1, STEPS - 1)
    print(f"killed after step {killed_at}")
    process = child(manifest, tmp_path / "killed", f"pause={killed_at}")
    wait_for(process, f"step {killed_at}")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    resumed = train(dataset, tmp_path / "killed")
    assert resumed.progress.step == STEPS
    train(dataset, tmp_path / "whole")
    assert_same(left_behind(tmp_path / "killed"), left_behind(tmp_path / "whole"))


@pytest.mark.long
def test_so_does_a_run_of_adamw_with_all_questions(dataset: Dataset, manifest: Path, tmp_path: Path) -> None:
    changed = {"optimizer": "adamw", "questions": "all", "lr": 0.002}
    options = [f"{name}={json.dumps(value)}" for name, value in changed.items()]
    process = child(manifest, tmp_path / "killed", "pause=5", *options)
    wait_for(process, "step 5")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    train(dataset, tmp_path / "killed", **changed)
    train(dataset, tmp_path / "whole", **changed)
    killed, whole = (left_behind(tmp_path / name) for name in ("killed", "whole"))
    assert any(key.endswith("exp_avg_sq") for key in map(str, whole["tensors"]))
    assert_same(killed, whole)


def test_ctrl_c_saves_the_step_that_is_over_and_the_run_goes_on_from_it(
    dataset: Dataset, manifest: Path, tmp_path: Path
) -> None:
    process = child(manifest, tmp_path / "run", "save_steps=1000", "pause=2")
    wait_for(process, "step 2")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate("go on\n", timeout=DEADLINE_S)
    assert "KeyboardInterrupt" in errors
    saved = RunFolder(tmp_path / "run", identity={}, facts={}).load()
    assert saved is not None
    assert saved[0].step == 2
    assert not list(tmp_path.rglob(".*part*"))
    assert train(dataset, tmp_path / "run", save_steps=1000).progress.finished


@pytest.mark.long
def test_two_processes_share_every_batch(manifest: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = child(manifest, tmp_path / "run", "epochs=1", launcher=launcher)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    [row] = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert (row["step"], row["examples"]) == (4, 8)
    with safetensors.safe_open(tmp_path / "run" / "best.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["vcpbench"])["processes"] == 2


def test_a_run_leaves_its_curves_as_a_log_that_a_server_takes(dataset: Dataset, tmp_path: Path) -> None:
    trained = train(dataset, tmp_path / "run", validate_every=2)
    found = logs.parse((tmp_path / "run" / "log.csv").read_bytes())
    assert list(found.steps) == [row["step"] for row in trained.log]
    assert list(found.curves["loss"]) == [row["loss"] for row in trained.log]
    held_out = [row["held_out"]["loss"] if "held_out" in row else None for row in trained.log]
    assert None in held_out
    assert list(found.curves["held_out_loss"]) == held_out


def test_the_loss_goes_down_and_the_best_epoch_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    trained = train(dataset, tmp_path / "run", epochs=12, batch=4, lr=0.05, head="relational")
    losses = [row["loss"] for row in trained.log]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    best = min(trained.log, key=lambda row: row["held_out"]["loss"])
    assert trained.progress.best is not None
    assert (trained.progress.best.epoch, trained.progress.best.loss) == (
        best["epoch"],
        best["held_out"]["loss"],
    )
    assert [row["held_out"]["best"] for row in trained.log][trained.progress.best.epoch - 1]
    [events] = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"loss/train" in events.read_bytes()
    assert events.read_bytes().count(b"loss/steps") == 1  # of 24 steps, after 20


def test_patience_ends_a_run_that_no_longer_gets_better(dataset: Dataset, tmp_path: Path) -> None:
    trained = train(dataset, tmp_path / "run", epochs=200, batch=4, lr=0.2, patience=1)
    assert trained.progress.finished
    assert len(trained.log) < 200
    assert trained.progress.looks_since_best == 1


def test_held_out_and_test_videos_are_never_trained_on(dataset: Dataset, tmp_path: Path) -> None:
    _, trainer = tiny_run(dataset, tmp_path / "run")
    trainer.folder.release()
    held_out = {example.video.id for example in trainer.task.held_out()}
    shown = {example.video.id for epoch in range(20) for batch in trainer.epoch(epoch) for example in batch}
    assert shown == {video.id for video in trainer.task.division.train}
    assert shown | held_out == {video.id for video in dataset.side("train")}
    assert not shown & held_out


def test_exported_checkpoints_load_as_they_are_and_say_where_they_come_from(
    dataset: Dataset, tmp_path: Path
) -> None:
    run, trainer = tiny_run(dataset, tmp_path / "run", epochs=2, export_every=1)
    trained = run.train(trainer, None)
    files = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [path.name for path in files] == ["step-000004.safetensors", "step-000008.safetensors"]
    assert trained.last == files[-1]
    backbone, report = vcp_core.load_checkpoint(files[-1])
    assert (report.backbone, report.left_over) == ("r3d_tiny", {"head": 2})
    saved, _ = vcp_core.load_checkpoint(tmp_path / "run" / "state.pt")
    for key, tensor in trainer.network.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[key], tensor)
        assert torch.equal(saved.state_dict()[key], tensor)
    with safetensors.safe_open(trained.best, framework="pt") as file:
        said = json.loads(file.metadata()["vcpbench"])
    assert (said["run"], said["backbone"], said["task"]) == ("tiny", "r3d_tiny", "pretrain")
    assert said["dataset_fingerprint"] == dataset.fingerprint
    assert said["config"]["seed"] == 0
    assert "torch" in said["versions"]
    assert (tmp_path / "run" / "tensorboard").is_dir()
    origins = [read_origin(path) for path in files]
    assert [origin and (origin.run, origin.step, origin.epoch) for origin in origins] == [
        ("tiny", 4, 1),
        ("tiny", 8, 2),
    ]


def test_a_folder_of_another_run_is_refused_with_what_differs(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", epochs=1)
    with pytest.raises(TrainingError, match=r"lr was 0\.01, now 0\.02"):
        tiny_run(dataset, tmp_path / "run", epochs=1, lr=0.02)
    with pytest.raises(TrainingError, match="run was tiny, now other"):
        tiny_run(dataset, tmp_path / "run", epochs=1, name="other")


def test_a_run_that_saved_nothing_gives_its_folder_to_the_next(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"training has diverged.*lower --lr"):
        train(dataset, tmp_path / "run", lr=1e30, save_steps=100)
    assert not (tmp_path / "run" / "state.pt").exists()
    assert train(dataset, tmp_path / "run", epochs=1).progress.finished


def test_a_moved_run_keeps_its_name_and_may_write_more_often(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", epochs=2, name=None)
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere")
    run, trainer = tiny_run(dataset, moved, epochs=2, name=None, export_every=1, save_steps=1)
    trainer.folder.release()
    assert run.name == "run"


def test_one_process_at_a_time_trains_in_a_folder(dataset: Dataset, tmp_path: Path) -> None:
    run, trainer = tiny_run(dataset, tmp_path / "run", epochs=1)
    with pytest.raises(TrainingError, match="being trained by another process"):
        tiny_run(dataset, tmp_path / "run", epochs=1)
    run.train(trainer, None)
    assert train(dataset, tmp_path / "run", epochs=1).progress.finished


def test_what_a_run_went_on_from_under_other_conditions_stays_with_it(tmp_path: Path) -> None:
    for step, threads in enumerate((1, 1, 2, 2, 4)):
        facts = {
            "run": "r",
            "processes": 1,
            "network_threads": threads,
            "device": "cpu",
            "versions": {"torch": "2"},
        }
        folder = RunFolder(tmp_path, identity={"lr": 0.1}, facts=facts)
        folder.claim()
        assert bool(folder.notes) == (step >= 2)
        folder.save(RunProgress(step=step), {}, {})
        folder.release()
    assert folder.notes == (
        "trained under more than one condition, so not as under either alone: until step 1 network_threads "
        "1, then 2; until step 3 network_threads 2, then 4",
    )
    exported = folder.export("x.safetensors", {"w": torch.zeros(1)}, RunProgress(step=5))
    with safetensors.safe_open(exported, framework="pt") as file:
        said = json.loads(file.metadata()["vcpbench"])
    assert said["network_threads"] == 4
    assert [(one["until_step"], one["network_threads"]) for one in said["earlier"]] == [(1, 1), (3, 2)]


def test_a_finished_run_stays_what_it_was_trained_on(tmp_path: Path) -> None:
    facts = {"run": "r", "processes": 1, "device": "an H100", "versions": {"torch": "2"}}
    folder = RunFolder(tmp_path, identity={}, facts=facts)
    folder.save(RunProgress(step=7, finished=True), {}, {})
    again = RunFolder(tmp_path, identity={}, facts={**facts, "device": "cpu", "network_threads": 2})
    again.claim()
    again.release()
    assert again.conditions == {name: facts[name] for name in ("processes", "device", "versions")}
    assert again.notes == ()
    assert json.loads((tmp_path / "run.json").read_text())["facts"] == facts


def test_conditions_of_a_start_that_trained_nothing_are_forgotten(tmp_path: Path) -> None:
    facts = {"run": "r", "processes": 1, "device": "cpu", "versions": {}}
    RunFolder(tmp_path, identity={}, facts=facts).save(RunProgress(step=7), {}, {})
    for processes in (3, 1):
        folder = RunFolder(tmp_path, identity={}, facts={**facts, "processes": processes})
        folder.claim()
        folder.release()
    assert folder.notes == ()


def test_checkpoints_without_their_state_are_not_overwritten(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "state.pt").unlink()
    with pytest.raises(TrainingError, match=r"state\.pt is gone.*another --out"):
        train(dataset, tmp_path / "run", epochs=1)


def test_a_process_whose_part_of_an_epoch_is_over_ends_the_epoch(dataset: Dataset, tmp_path: Path) -> None:
    run, trainer = tiny_run(dataset, tmp_path / "run", epochs=1)
    trainer.progress = RunProgress(
        step=4
    )  # as all but the first go on that were stopped after an epoch's last step
    assert run.train(trainer, None).progress.finished


def test_diverged_weights_are_neither_saved_nor_the_best(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at step 1: training has diverged"):
        train(dataset, tmp_path / "looked", batch=8, lr=1e30)  # one step an epoch
    run, trainer = tiny_run(dataset, tmp_path / "unlooked", batch=8, validate_every=3, export_every=1)

    def blow_up(gradient: torch.Tensor) -> torch.Tensor:
        return torch.full_like(gradient, math.inf)

    trainer.network.head.bias.register_hook(blow_up)
    with pytest.raises(TrainingError, match="at step 1: training has diverged"):
        run.train(trainer, None)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("state.pt"))


@pytest.mark.parametrize("name", ["state.pt", "run.json", "log.jsonl"])
def test_a_damaged_file_is_named_with_what_to_do(dataset: Dataset, tmp_path: Path, name: str) -> None:
    train(dataset, tmp_path / "run", epochs=1)
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TrainingError, match=rf"{name}.*(another --out|Move it|Put it back)"):
        train(dataset, tmp_path / "run", epochs=1)


def test_a_full_disk_is_told_and_leaves_the_state_before_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, identity={}, facts={})
    folder.save(RunProgress(step=1), {"w": torch.zeros(4)}, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as good as full
    try:
        with pytest.raises(StorageError, match=r"state\.pt cannot be written: .*Nothing was left behind"):
            folder.save(RunProgress(step=2), {"w": torch.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    saved = folder.load()
    assert saved is not None
    assert saved[0].step == 1


def test_a_run_whose_best_checkpoint_was_moved_away_says_what_is_missing(
    dataset: Dataset, tmp_path: Path
) -> None:
    first = train(dataset, tmp_path / "run", epochs=1)
    assert first.last is not None
    first.last.unlink()
    assert train(dataset, tmp_path / "run", epochs=1).last is None
    first.best.rename(tmp_path / "mine.safetensors")
    with pytest.raises(
        TrainingError, match=r"best\.safetensors is missing: the weights of epoch 1.*Put it back"
    ):
        tiny_run(dataset, tmp_path / "run", epochs=1)


def test_an_interrupted_write_leaves_the_state_before_it_and_nothing_half_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, identity={}, facts={})
    weights = {"w": torch.arange(3.0)}
    folder.save(RunProgress(step=1), weights, {})
    with pytest.raises(Exception, match="pickle"):
        folder.save(RunProgress(step=2), weights, {"not data": lambda: 0})
    saved = folder.load()
    assert saved is not None
    assert (saved[0].step, {path.name for path in tmp_path.iterdir()}) == (1, {"run.json", "state.pt"})


def test_without_fabric_the_error_says_what_to_install(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(TrainingError, match=r"pip install 'vcpbench\[train\]'"):
        tiny_run(dataset, tmp_path / "run")


def test_a_loss_that_is_no_number_ends_the_run(dataset: Dataset, tmp_path: Path) -> None:
    run, trainer = tiny_run(dataset, tmp_path / "run")
    with torch.no_grad():
        trainer.network.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"nan at step 0.*lower --lr in another --out"):
        run.train(trainer, None)


def test_what_cannot_run_is_told_before_a_dataset_is_made(tmp_path: Path) -> None:
    config = PretrainConfig(precision="bf16")
    with pytest.raises(TrainingError, match="bf16 does not train on the CPU"):
        pretrain(tmp_path / "nowhere", tmp_path / "run", config, machine=Machine(device="cpu"))
    assert list(tmp_path.iterdir()) == []


def test_bf16_is_refused_on_the_cpu_where_its_gradients_are_wrong(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="bf16 does not train on the CPU"):
        tiny_run(dataset, tmp_path / "run", precision="bf16")
