"""The checkpoint that comes with vcpbench: what its page says of it is true."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.pages import END
from bench.sample import BEGIN, METRICS, PAGES
from tests.stack.kit import VCPBENCH
from vcp_core.checkpoints import load_checkpoint
from vcp_core.checkpoints.origin import read_origin
from vcp_core.samples import sample_path

MOST_BYTES = 5_000_000
FOLDER = sample_path().parent


def test_the_sample_is_small_and_is_read_as_anybodys_checkpoint() -> None:
    assert sample_path().stat().st_size <= MOST_BYTES
    network, report = load_checkpoint(sample_path())
    assert network.spec.name == report.backbone == "r3d_tiny"


def test_the_sample_is_the_last_checkpoint_of_the_whole_run_that_is_shipped_with_it() -> None:
    origin = read_origin(sample_path())
    assert origin is not None
    asked = json.loads((FOLDER / "run.json").read_text())
    log = [json.loads(line) for line in (FOLDER / "log.jsonl").read_text().splitlines()]
    assert origin.epoch == asked["epochs"] == len(log)
    assert origin.step == log[-1]["step"]
    assert (origin.task, origin.run) == ("pretrain", "r3d_tiny-vcp")
    assert origin.dataset_fingerprint == asked["dataset"]
    page = (FOLDER / "README.md").read_text()
    assert f"checkpoints/step-{origin.step:06d}.safetensors" in page
    for option in ("backbone", "questions", "head", "optimizer", "lr", "schedule", "epochs", "augment"):
        assert f"--{option} {asked[option]}" in page, option
    assert asked["precision"] == "fp32"
    assert f"with seed {asked['seed']}" in page


def test_both_pages_show_the_same_measurement_and_it_shows_the_point() -> None:
    tables = [page.read_text().partition(BEGIN)[2].partition(END)[0] for page in PAGES]
    assert tables[0] == tables[1] != ""
    for name in METRICS.values():
        (line,) = [line for line in tables[0].splitlines() if line.startswith(f"| {name} |")]
        _, _, sample, controls, *_ = line.split("|")
        assert low(sample) > max(high(control) for control in controls.split(";")), line


def low(interval: str) -> float:
    return float(interval.partition("[")[2].partition(",")[0])


def high(interval: str) -> float:
    return float(interval.partition(", ")[2].partition("]")[0])


def test_the_command_copies_the_sample_out(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "mine.safetensors"):
        said = subprocess.run([VCPBENCH, "sample", "--out", out], check=True, capture_output=True, text=True)
        assert Path(said.stdout.strip()).read_bytes() == sample_path().read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"mine.safetensors", sample_path().name}


def test_a_slash_at_the_end_is_a_folder_that_need_not_be_there(tmp_path: Path) -> None:
    said = subprocess.run(
        [VCPBENCH, "sample", "--out", "models/"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == f"models/{sample_path().name}"
    assert (tmp_path / "models" / sample_path().name).read_bytes() == sample_path().read_bytes()
