"""`vcpbench reproduce`, run as users run it, on folders of videos; of official splits in test_splits.py."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.forked import run_vcpbench
from tests.videos import write_video

pytestmark = pytest.mark.slow

QUICKEST = 'base = "quick-v1"\n[grid]\nnum_clips = 1\n'
RETRIEVAL = ("-p", "quickest.toml", "--benchmark", "retrieval", "--no-controls")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, a protocol, and videos of three people in two classes."""
    folder = tmp_path_factory.mktemp("home")
    torch.save(vcp_core.build("r3d_tiny", seed=3).state_dict(), folder / "model.pt")
    rows = ["path,label,group"]
    for seed in range(6):
        label, person = ("jump", "run")[seed % 2], f"P{seed // 2 + 1}"
        write_video(folder / "clips" / label / f"{person}.mp4", 20 + seed, seed=seed)
        rows.append(f"{label}/{person}.mp4,{label},{person}")
    (folder / "people.csv").write_text("\n".join(rows) + "\n")
    (folder / "quickest.toml").write_text(QUICKEST)
    return folder


def vcpbench(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "HOME": str(home), "VCPBENCH_CACHE": str(home / "cache")}
    return run_vcpbench(*arguments, cwd=home, env={**os.environ, **own})


def done(home: Path, *arguments: str) -> str:
    """What it prints, when all went well."""
    run = vcpbench(home, *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout


def measured(home: Path, name: str, *options: str) -> dict[str, Any]:
    """What `vcpbench local` writes of the videos."""
    done(home, "local", "model.pt", "-d", "clips", *RETRIEVAL, "--device", "cpu", *options, "--json", name)
    found: dict[str, Any] = json.loads((home / name).read_text())
    return found


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ((), "hash"),
        (("--csv", "people.csv", "--test-groups", "P3", "--test-groups", "P1"), "test groups P3,P1"),
    ],
)
def test_what_was_measured_on_a_folder_of_videos_is_reproduced(
    home: Path, options: tuple[str, ...], split: str
) -> None:
    name = f"{split.split()[0]}.json"
    assert measured(home, name, *options)["provenance"]["dataset"]["split"] == split
    assert "are equal to the last digit" in done(home, "reproduce", name, "--device", "cpu")


@pytest.mark.long
def test_videos_that_lie_elsewhere_keep_their_groups(home: Path) -> None:
    (home / "elsewhere").symlink_to("clips")
    measured(home, "moved.json", "--csv", "people.csv", "--test-groups", "P2")
    words = ("reproduce", "moved.json", "-d", "elsewhere", "--csv", "people.csv", "--device", "cpu")
    assert "are equal to the last digit" in done(home, *words)
    other = vcpbench(home, *words, "--test-groups", "P1")
    assert other.returncode == 2
    assert "files, labels or sides differ" in other.stderr


@pytest.mark.long
def test_videos_of_a_suffix_of_their_own_are_found_again_by_it(home: Path) -> None:
    for video in (home / "clips").rglob("*.mp4"):
        (home / "odd" / video.parent.name).mkdir(parents=True, exist_ok=True)
        (home / "odd" / video.parent.name / f"{video.stem}.xyz").symlink_to(video)
    options = ("--suffix", "xyz", *RETRIEVAL, "--device", "cpu")
    done(home, "local", "model.pt", "-d", "odd", *options, "--json", "odd.json")
    assert "are equal to the last digit" in done(home, "reproduce", "odd.json", "--device", "cpu")
    assert "are equal to the last digit" in done(
        home, "reproduce", "odd.json", "-d", "odd", "--device", "cpu"
    )


@pytest.mark.long
def test_a_servers_command_says_where_the_videos_go_and_keeps_their_groups(home: Path) -> None:
    found = measured(home, "served.json", "--csv", "people.csv", "--test-groups", "P2")
    asked = "vcpbench reproduce 0d9c2c0e --dataset PLACE --csv TABLE --test-groups P2"
    found["provenance"]["reproduce"] = asked
    (home / "served.json").write_text(json.dumps(found))
    words = ("reproduce", "served.json", "--checkpoint", "model.pt", "--device", "cpu")
    unsaid = vcpbench(home, *words)
    assert unsaid.returncode == 2
    assert f"where the videos are here. Say so: {asked}" in unsaid.stderr
    assert "are equal to the last digit" in done(home, *words, "-d", "clips", "--csv", "people.csv")


def test_random_weights_have_no_file_to_reproduce_them_from(home: Path) -> None:
    found = measured(home, "control.json")
    found["provenance"] |= {"checkpoint": {"backbone": "r3d_tiny", "seed": 0}, "reproduce": None}
    (home / "control.json").write_text(json.dumps(found))
    refused = vcpbench(home, "reproduce", "control.json", "--device", "cpu")
    assert refused.returncode == 2
    assert "Random weights and pixels have no file." in refused.stderr


@pytest.mark.long
def test_what_was_finetuned_on_a_folder_of_videos_is_reproduced(home: Path) -> None:
    words = ("--epochs", "1", "--batch", "2", "--num-clips", "1", "--device", "cpu")
    done(home, "finetune", "model.pt", "-d", "clips", "-o", "run", *words)
    said = done(home, "reproduce", "run/recognition.json", "--device", "cpu")
    assert "Reproduced: all 3 scores are equal to the last digit." in said
    results = json.loads((home / "run" / "recognition.json").read_text())
    results["provenance"]["machine"]["network_threads"] += 1
    (home / "threads.json").write_text(json.dumps(results))
    refused = vcpbench(home, "reproduce", "threads.json", "--device", "cpu")
    assert refused.returncode == 2
    assert "weights would differ from the first step on" in refused.stderr
    assert "OMP_NUM_THREADS=2 sets the same number of threads" in refused.stderr
    del results["provenance"]["machine"]
    (home / "old.json").write_text(json.dumps(results))
    told = vcpbench(home, "reproduce", "old.json", "--device", "cpu")
    assert told.returncode == 0
    assert "network threads: not kept, now 1" in told.stderr
