"""Finetuning, from a checkpoint file to scores; and the commands, in processes of their own."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import vcp_core
from stack.commands.local import show
from tests.datasets_on_disk import make_folder
from tests.patience import DEADLINE_S, until
from tests.pretraining.kit import tiny_run
from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.benchmarks import recognition
from vcp_core.datasets.manifest import Dataset
from vcp_core.pretraining import FinetuneConfig, Machine, finetune
from vcp_core.results.types import Results
from vcp_core.scoring.splits import SplitsMean

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.save(vcp_core.build("r3d_tiny", seed=1).state_dict(), path)
    return path


CONFIG = FinetuneConfig(epochs=1, batch=4, num_clips=2)


def test_finetuning_scores_the_best_epoch_on_the_test_side_and_can_be_asked_again(
    dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    first, again = (
        finetune(model, dataset, tmp_path / "run", CONFIG, machine=Machine(device="cpu")) for _ in range(2)
    )
    metrics = {score.metric: score for score in first.results.benchmarks[0].scores}
    assert set(metrics) == {f"recognition.finetune.{name}" for name in ("top1", "top5", "mean_class")}
    assert metrics["recognition.finetune.top1"].chance == 50.0
    assert metrics["recognition.finetune.top1"].control is None
    assert metrics["recognition.finetune.top5"].value == 100.0
    assert first.results.to_json() == again.results.to_json()
    predictions = first.results.benchmark("recognition").predictions
    assert predictions is not None
    assert predictions.column("video") == [video.id for video in dataset.side("test")]
    assert predictions.facts["best"]["epoch"] == 1
    assert predictions.facts["training"] == recognition.training_sizes(dataset)
    _, report = vcp_core.load_checkpoint(first.trained.best)
    assert report.backbone == "r3d_tiny"


def test_its_results_say_everything_that_determined_them(
    dataset: Dataset, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = dataclasses.replace(dataset, source=("clips", "--csv", "clips.csv"))
    finetuned = finetune(model, named, tmp_path / "run", CONFIG, machine=Machine(device="cpu"))
    written = Results.model_validate_json((tmp_path / "run" / "recognition.json").read_text())
    assert written.to_json() == finetuned.results.to_json()
    origin = written.provenance
    assert origin.checkpoint["num_keys"] > 0
    assert (origin.dataset["fingerprint"], origin.dataset["left_out"]) == (dataset.fingerprint, [])
    assert origin.device.startswith("cpu")
    assert (origin.protocol_name, origin.protocol_hash) == ("finetune", CONFIG.protocol().hash)
    assert FinetuneConfig.of(origin.protocol) == CONFIG
    assert origin.num_clips == 2 * len(dataset.side("test"))
    assert origin.calibration_clips is None
    assert origin.reproduce == (
        f"vcpbench finetune {model} --dataset clips --csv clips.csv --out again "
        "--epochs 1 --batch 4 --num-clips 2"
    )
    show(written, every=True)
    shown = capsys.readouterr().out
    assert all(said in shown for said in ("finetune.top1", "finetune.mean_class", origin.protocol_hash[:12]))


def test_random_weights_finetuned_by_the_same_numbers_are_its_control(
    dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    out, machine = tmp_path / "run", Machine(device="cpu")
    finetuned = finetune(model, dataset, out, CONFIG, control=True, machine=machine)
    torch.save(vcp_core.build("r3d_tiny", seed=CONFIG.seed).state_dict(), tmp_path / "random.pt")
    alone = finetune(tmp_path / "random.pt", dataset, tmp_path / "alone", CONFIG, machine=machine)
    score = finetuned.results.score("recognition.finetune.top1")
    assert score.control == alone.results.score("recognition.finetune.top1").value
    assert score.lift == score.value - score.control
    assert score.lift_low is not None
    weights = [
        safetensors.torch.load_file(path) for path in (out / "control/best.safetensors", alone.trained.best)
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_weights_that_saw_test_videos_carry_a_warning(dataset: Dataset, model: Path, tmp_path: Path) -> None:
    machine = Machine(device="cpu")
    run, trainer = tiny_run(dataset, tmp_path / "elsewhere", epochs=1)
    claims = run.train(trainer, None).best  # its header says: trained on split 1 of tiny
    held = {
        min(video.id for video in dataset.side("train") if video.label == name) for name in dataset.classes
    }
    moved = [
        dataclasses.replace(video, split="test" if video.id in held else "train") for video in dataset.videos
    ]
    other = dataclasses.replace(dataset, split_name="2", videos=tuple(moved))
    spec = "crop=32,resize=36x48"
    warned = [
        finetune(claims, other, tmp_path / "a", CONFIG, input_spec=spec, machine=machine),
        finetune(model, other, tmp_path / "b", CONFIG, pretrained_on="tiny:1", machine=machine),
    ]
    for finetuned in warned:
        assert finetuned.results.provenance.pretrained_on == "tiny:1"
        assert any("holds test videos of split 2" in said for said in finetuned.results.warnings)


@needs_shared
@pytest.mark.long
def test_three_words_finetune_every_split_and_their_mean_is_reproduced(tmp_path: Path) -> None:
    groups = (
        "01",
        "08",
        "20",
        "21",
        "22",
    )  # split 1 tests the first, split 2 the second
    for seed, (label, group) in enumerate(itertools.product(("Archery", "Biking"), groups)):
        name = f"{label}/v_{label}_g{group}_c01.avi"
        write_video(tmp_path / "UCF-101" / name, 17, codec="mpeg4", seed=seed)
    torch.save(vcp_core.build("r3d_tiny", seed=1).state_dict(), tmp_path / "model.pt")
    words = ["finetune", "model.pt", "-d", "ucf101:UCF-101", "--lists", str(SHARED / "splits" / "ucf101")]
    words += ["--split", "1,2", "-o", "run", "--epochs", "1", "--batch", "2", "--num-clips", "1"]
    process = command(tmp_path, *words, "--control", "--device", "cpu")
    said, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    assert "mean over splits 1, 2" in said
    assert "Training run, split 2, control." in errors
    mean = SplitsMean.model_validate_json((tmp_path / "run" / "recognition.json").read_text())
    top1 = mean.score("recognition.finetune.top1")
    assert (top1.num_videos, set(top1.by_split)) == (4, {"1", "2"})
    assert top1.control is not None
    again = command(tmp_path, "reproduce", "run/recognition.json", "--device", "cpu")
    said, errors = again.communicate(timeout=DEADLINE_S)
    assert again.returncode == 0, errors
    for split in ("1", "2"):
        assert f"split {split}: Reproduced: all 3 scores are equal to the last digit." in said
    together = mean.splits["1"].provenance.model_copy(update={"device": "4 x cuda: a card"})
    several = mean.splits["1"].model_copy(update={"provenance": together})
    (tmp_path / "several.json").write_text(several.to_json())
    refused = command(tmp_path, "reproduce", "several.json", "--checkpoint", "model.pt", "--device", "cpu")
    said, errors = refused.communicate(timeout=DEADLINE_S)
    assert refused.returncode == 2
    assert "4 processes finetuned the network together" in errors


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


@pytest.mark.long
def test_the_command_interrupted_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    make_folder(tmp_path / "clips", per_class=(3, 1))
    words = ("pretrain", "-d", "clips", "-o", "run", "--backbone", "r3d_tiny")
    words += ("--batch", "2", "--epochs", "2", "--save-steps", "1", "--device", "cpu")
    words += ("--gap", "4", "--remote-gap", "9")
    first = command(tmp_path, *words)
    until(
        (tmp_path / "run" / "state.pt").exists,
        hopeless=lambda: first.poll() is not None and first.communicate(),
    )
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 130, said
    assert "Run the same command again to go on" in said
    second = command(tmp_path, *words)
    answered, said = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 0, said
    assert "Resuming after step" in said
    assert re.search(r"epoch 2/2  loss \d", said)
    assert re.search(r"^Best on held-out videos: epoch \d, loss \d.*\nrun/best.safetensors\n", answered)
    [last] = (tmp_path / "run" / "checkpoints").iterdir()
    assert f"\nLast: epoch 2\nrun/checkpoints/{last.name}\n" in answered
    asked = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (asked["gap"], asked["remote_gap"]) == (4, 9)


@pytest.mark.long
def test_of_torchruns_processes_the_first_alone_says_what_there_is(tmp_path: Path) -> None:
    make_folder(tmp_path / "clips", per_class=(3, 1))
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    words += [str(Path(sys.executable).with_name("vcpbench")), "pretrain", "-d", "clips", "-o", "run"]
    words += ["--backbone", "r3d_tiny", "--batch", "2", "--epochs", "1", "--device", "cpu"]
    process = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("run/best.safetensors") == 1


def test_nonsense_and_missing_files_are_said_in_one_line(tmp_path: Path) -> None:
    process = command(tmp_path, "pretrain", "-d", "nowhere", "-o", "run", "--batch", "1")
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "TrainingError: --batch must be at least 2" in said
    assert not (tmp_path / "run").exists()
