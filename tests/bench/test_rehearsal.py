"""The rehearsal: its dataset, its words about limits, and one small run through real processes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.memory import Peaks
from bench.rehearsal import service
from bench.rehearsal.manifest import like_ucf101
from bench.rehearsal.videos import make_part
from tests.patience import until
from vcp_core.datasets import load_dataset

LIMITS = dict.fromkeys(service.LIMITS)


def arguments(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"kill": False, **LIMITS, **given})


def found(**changes: Any) -> dict[str, Any]:
    job = {"kind": "extract", "own": True, "jobs": 4, "done": 4, "retries": 0, "losses": 0}
    return {
        "jobs": [{**job, "clips": 40, "forwarded": 40, **changes}],
        "request_to_end_s": 120.0,
        "memory_mib": {"service": 100, "worker-0: child": 500},
        "database_time": {"extract": {"median_ms": 12.0}},
        "disk": {"store: features": 3 << 20},
    }


@pytest.mark.parametrize(("part", "num_classes"), [(0.005, 5), (0.1, 101), (1.0, 101)])
def test_each_class_of_a_part_has_videos_on_both_sides(part: float, num_classes: int) -> None:
    dataset = like_ucf101(part)
    assert len(dataset.videos) == pytest.approx(13_320 * part, abs=1)
    for side in ("train", "test"):
        labels = Counter(video.label for video in dataset.videos if video.split == side)
        assert len(labels) == num_classes
        assert min(labels.values()) >= 3


def test_the_videos_of_a_part_are_those_of_its_manifest(tmp_path: Path) -> None:
    meant, num_videos = like_ucf101(0.0006), make_part(tmp_path, 0.0006)
    loaded = load_dataset(tmp_path)
    assert num_videos == len(loaded.videos) == len(meant.videos)
    for one, other in zip(loaded.videos, meant.videos, strict=True):
        facts = (one.id, one.label, one.group, one.split, one.num_frames)
        assert facts == (other.id, other.label, other.group, other.split, other.num_frames)


def test_a_rehearsal_within_its_limits_has_nothing_to_say() -> None:
    assert service.missed(found(), arguments(most_minutes=2, most_memory_mib=500, most_retries=0)) == []


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({"done": 3}, {}, "1 of 4 extract jobs are not done"),
        ({"own": False, "done": 3}, {}, "1 of 4 extract jobs of controls are not done"),
        ({"forwarded": 39}, {}, "39 clips were forwarded instead of 40"),
        ({}, {"kill": True}, "a worker was killed between two jobs, so no job was lost; run it again"),
        ({}, {"most_minutes": 1.5}, "minutes from the request to the end: 2.0 min; at most 1.5 min"),
        ({}, {"most_memory_mib": 499}, "peak memory of the largest process: 500.0 MiB; at most 499 MiB"),
        ({}, {"most_database_ms": 10}, "median database time of a shard: 12.0 ms; at most 10 ms"),
        ({}, {"most_features_mib": 2}, "features in the store: 3.0 MiB; at most 2 MiB"),
        ({"retries": 2}, {"most_retries": 1}, "attempts that were lost or crashed: 2.0; at most 1"),
    ],
)  # fmt: skip
def test_each_missed_limit_is_said_in_words(
    changes: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    assert service.missed(found(**changes), arguments(**given)) == [said]


def test_peaks_of_a_process_and_of_its_children_are_seen() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        with Peaks(lambda: {"parent": process.pid}) as peaks:
            until(lambda: peaks.mib.get("parent: other"))
        process.communicate(b"\n")
    assert peaks.mib["parent"] > 0


@pytest.mark.long
def test_a_small_rehearsal_runs_through_the_service_and_prints_its_numbers() -> None:
    options = ["--part", "0.005", "--extraction", "hash", "--protocol", "quick-v1", "--no-controls", "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.rehearsal.service", *options, "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    printed = json.loads(run.stdout)
    assert printed["missed"] == []
    assert printed["videos"] == 67
    extracted = [job for job in printed["jobs"] if job["kind"] == "extract"]
    assert sorted(job["own"] for job in extracted) == [False, True]
    assert all(job["jobs"] == job["done"] > 0 for job in extracted)
    tables = printed["database"]["tables"]
    assert tables["shard"]["rows"] == sum(job["jobs"] for job in extracted)
    assert printed["database"]["evaluations"] == 2
    assert printed["memory_mib"]["worker-0: child"] > 0
    assert printed["database_time"]["extract"]["sessions"] >= 3
