"""Benches of growth: their arithmetic and their words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench import linear, scaling
from bench.linear import Run
from bench.scaling import Line

REST = {"session_ms": 9.0, "server_ms": 3.0}


def line(workers: int, seconds: float, shard_ms: float = 5.0) -> Line:
    return Line(
        workers=workers, shards=32, seconds=seconds, shares=1.0, shard_ms=shard_ms, job_ms=5.0, **REST
    )


def test_workers_that_share_the_time_evenly_are_fully_used() -> None:
    lines = [line(1, 16.0), line(2, 8.0), line(16, 1.25)]
    assert [scaling.efficiency(lines, one) for one in lines] == [1.0, 1.0, 0.8]
    assert scaling.missed(lines) == ["efficiency of 16 workers: 80 %; at least 85 %"]
    assert scaling.missed(lines[:2]) == []


def test_a_slow_database_is_said_in_words() -> None:
    assert scaling.missed([line(1, 16.0), line(2, 8.0, shard_ms=20.0)]) == [
        "database time of a shard: 20.0 ms with 2 workers; less than 20 ms"
    ]


def runs(power: float, mib: float = 0.0) -> tuple[tuple[int, Run], dict[int, Run]]:
    """Five seconds of start, then (n - 10) to this power; `mib` more for each video."""
    sizes = {
        num: Run(seconds=5 + (num - 10) ** power, peak_mib=round(400 + mib * num)) for num in (20, 40, 80)
    }
    return (10, Run(seconds=5, peak_mib=400)), sizes


@pytest.mark.parametrize("power", [0.8, 1.0, 1.5])
def test_the_exponent_is_that_of_the_time_without_the_start(power: float) -> None:
    assert linear.exponent(*runs(power)) == pytest.approx(power)


def test_growth_beyond_the_limits_is_said_in_words() -> None:
    assert linear.missed(*runs(1.0)) == []
    assert linear.missed(*runs(1.5, mib=1.0)) == [
        "exponent of time: 1.500; 0.95 to 1.05",
        "peak memory with 80 videos: 1.14 times that with 20; at most 1.1",
    ]


@pytest.mark.long
def test_a_small_set_is_evaluated_from_the_command_line() -> None:
    options = ["--videos", "24", "30", "--start", "20", "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.linear", *options], capture_output=True, text=True, check=False
    )
    assert run.stdout, run.stderr  # it also exits with 1 where a limit is missed: six videos tell little
    printed = json.loads(run.stdout)
    assert set(printed["runs"]) == {"20", "24", "30"}
    assert all(one["peak_mib"] > 100 for one in printed["runs"].values())


@pytest.mark.long
def test_a_small_scaling_runs_through_the_service() -> None:
    options = ["--workers", "2", "--shards", "20", "--sleep-s", "0.05", "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.scaling", *options], capture_output=True, text=True, check=False
    )
    assert run.stdout, run.stderr  # it also exits with 1 where the machine is busy: the database takes longer
    (found,) = json.loads(run.stdout)["lines"]
    assert (found["workers"], found["shards"], found["efficiency"]) == (2, 40, 1.0)
    assert found["shard_ms"] > 0
