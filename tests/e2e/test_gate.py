"""`vcpbench gate` with evaluations that real workers make: all four verdicts, by exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.conftest import LIGHT
from tests.patience import DEADLINE_S
from tests.served import Served
from tests.workers import WorkerProcess
from vcp_core.backbones import build

VCPBENCH = str(Path(sys.executable).with_name("vcpbench"))
DATASET = "playground-64"
TOP1 = "recognition.top1"
Gate = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def gate(api: Served, tmp_path: Path) -> Gate:
    """Runs the command; its exit code and its report."""

    def run(file: str, *words: str, **environment: str) -> tuple[int, dict[str, Any]]:
        login = {
            "VCPBENCH_URL": api.url,
            "VCPBENCH_TOKEN": api.client.headers["Authorization"].removeprefix("Bearer "),
            "VCPBENCH_DATASET": DATASET,
            "VCPBENCH_PROTOCOL": "light",
        }
        ran = subprocess.run(
            [VCPBENCH, "gate", file, "--model", "tiny", "--json", "-", *words],
            cwd=tmp_path,
            env={**os.environ, **login, **environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    return run


@pytest.mark.product
def test_the_gate_gives_each_verdict_on_evaluations_by_real_workers(
    api: Served, start_worker: Callable[..., WorkerProcess], gate: Gate, tmp_path: Path
) -> None:
    network = build("r3d_tiny", seed=7)
    torch.save(network.state_dict(), tmp_path / "good.pt")
    with torch.no_grad():  # blind: all videos look alike to it
        for weights in network.parameters():
            weights.zero_()
    torch.save(network.state_dict(), tmp_path / "blind.pt")
    torch.save({}, tmp_path / "broken.pt")  # only whoever opens it can tell
    assert api.client.post("/v1/protocols", json=LIGHT).status_code == 201
    code, waited = gate("good.pt", "--min", f"{TOP1}=1", "--timeout", "2")
    assert (code, waited["verdict"], "after 2 s" in waited["error"]) == (2, "error", True)

    start_worker()
    code, first = gate("good.pt", "--min", f"{TOP1}=1")
    assert (code, first["verdict"]) == (0, "pass"), first
    (score,) = (score for score in first["scores"] if score["metric"] == TOP1)
    assert 0 < score["low"] < score["value"] < score["high"] < 100
    at_value, above = ("--min", f"{TOP1}={score['value']}"), ("--min", f"{TOP1}={score['high'] + 1}")
    for words, expected in (
        (("--min", f"{TOP1}={score['low']}"), (0, "pass")),
        ((*at_value, "--inconclusive", "pass"), (0, "inconclusive")),
        ((*at_value, "--inconclusive", "fail"), (3, "inconclusive")),
        (above, (1, "fail")),
    ):
        code, found = gate("good.pt", *words)
        assert (code, found["verdict"]) == expected, found
        assert found["evaluation"]["id"] == first["evaluation"]["id"]

    drop = ("--against", "tiny@latest", "--max-drop", "cloze.temporal=1.5")
    code, worse = gate("blind.pt", *drop)
    assert (code, worse["verdict"], worse["baseline"]["id"]) == (1, "fail", first["evaluation"]["id"]), worse
    assert worse["rules"][0]["high"] < -1.5

    code, refused = gate("broken.pt", *drop)
    assert (code, refused["verdict"]) == (2, "error")
    assert "was rejected: " in refused["error"], refused
    code, unknown = gate("good.pt", "--min", f"{TOP1}=1", VCPBENCH_TOKEN="vcp_wrong")
    assert (code, unknown["verdict"], "revoked" in unknown["error"]) == (2, "error", True)
