"""Finetuning, from a checkpoint file to scores; and the commands, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

import vcp_core
from tests.datasets_on_disk import make_folder
from vcp_core.datasets.manifest import Dataset
from vcp_core.pretraining import FinetuneConfig, Machine, finetune


def test_finetuning_scores_the_best_epoch_on_the_test_side_and_can_be_asked_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    torch.save(vcp_core.build("r3d_tiny", seed=1).state_dict(), tmp_path / "model.pt")
    config = FinetuneConfig(epochs=1, batch=4, num_clips=2)
    first, again = (
        finetune(tmp_path / "model.pt", dataset, tmp_path / "run", config, machine=Machine(device="cpu"))
        for _ in range(2)
    )
    metrics = {score.metric: score for score in first.result.scores}
    assert set(metrics) == {f"recognition.finetune.{name}" for name in ("top1", "top5", "mean_class")}
    assert metrics["recognition.finetune.top1"].chance == 50.0
    assert metrics["recognition.finetune.top5"].value == 100.0
    assert first.result == again.result
    assert first.result.predictions is not None
    assert first.result.predictions.column("video") == [video.id for video in dataset.side("test")]
    written = json.loads((tmp_path / "run" / "recognition.json").read_text())
    assert written["result"]["scores"][0]["metric"] == "recognition.finetune.top1"
    assert written["best"]["epoch"] == 1
    _, report = vcp_core.load_checkpoint(first.trained.best)
    assert report.backbone == "r3d_tiny"


def command(home: Path, *arguments: str) -> subprocess.Popen[str]:
    program = str(Path(sys.executable).with_name("vcpbench"))
    environment = {**os.environ, "HOME": str(home), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [program, *arguments],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_interrupted_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    make_folder(tmp_path / "clips", per_class=(3, 1))
    words = ("pretrain", "-d", "clips", "-o", "run", "--backbone", "r3d_tiny")
    words += ("--batch", "2", "--epochs", "2", "--save-steps", "1", "--device", "cpu")
    first = command(tmp_path, *words)
    begun = time.monotonic()
    while not (tmp_path / "run" / "state.pt").exists():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() - begun < 120
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 130, said
    assert "run it again to go on" in said
    second = command(tmp_path, *words)
    answered, said = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert "Going on after step" in said
    assert re.search(r"epoch 2/2  loss \d", said)
    assert "run/best.safetensors" in answered


def test_nonsense_and_missing_files_are_said_in_one_line(tmp_path: Path) -> None:
    process = command(tmp_path, "pretrain", "-d", "nowhere", "-o", "run", "--batch", "1")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "TrainingError: batch must be at least 2" in said
    assert not (tmp_path / "run").exists()
