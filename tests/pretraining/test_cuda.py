"""On a GPU: training that is interrupted and goes on, bf16, and features and scores beside the CPU's.

    python -m pytest -s tests/pretraining/test_cuda.py

prints the differences that it measures.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_dataset
from tests.pretraining.kit import tiny_run
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.extraction import extract
from vcp_core.features.shards import cut_shards
from vcp_core.pretraining.runs import RunProgress
from vcp_core.results.reproduction import agreement

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    # What torch and Fabric say about a machine's GPU is none of ours to mend.
    pytest.mark.filterwarnings("default"),
]
CI = Protocol.model_validate(
    {**load_protocol("quick-v1").model_dump(), "name": "ci", "grid": {"num_clips": 1}}
)
# PROTOCOL 9's measure of two implementations of a network; sums of another order stay well below it.
RELATIVE_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes, 12 training and 12 test videos that have all five options."""
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=(100,), per_class=(6, 6))


class Interrupter:
    """Asks a run to stop at a step, as Ctrl-C does."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Say nothing."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Ctrl-C, once."""
        if done == self.at:
            signal.raise_signal(signal.SIGINT)

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Say nothing."""


def saved_tensors(out: Path) -> dict[str, torch.Tensor]:
    """Weights and momenta of a run's last state."""
    state = torch.load(out / "state.pt", map_location="cpu", weights_only=True)
    momenta = {
        f"{number}.{name}": tensor
        for number, one in state["optimizer"]["state"].items()
        for name, tensor in one.items()
        if tensor is not None
    }
    return {**state["model"], **momenta}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_interrupted_on_a_gpu_goes_on_there_as_one_that_was_not(
    dataset: Dataset, tmp_path: Path, optimizer: str, precision: str
) -> None:
    options = {"optimizer": optimizer, "precision": precision, "epochs": 2, "lr": 0.001, "device": "cuda"}
    run, trainer = tiny_run(dataset, tmp_path / "stopped", **options)
    with pytest.raises(KeyboardInterrupt):
        run.train(trainer, Interrupter(at=3))
    run, trainer = tiny_run(dataset, tmp_path / "stopped", **options)
    assert trainer.progress.step == 3
    assert run.train(trainer, None).progress.finished
    run, trainer = tiny_run(dataset, tmp_path / "whole", **options)
    assert run.train(trainer, None).progress.finished
    resumed, whole = saved_tensors(tmp_path / "stopped"), saved_tensors(tmp_path / "whole")
    assert resumed.keys() == whole.keys()
    differences = [float((resumed[key].double() - whole[key].double()).abs().max()) for key in whole]
    print(f"{optimizer}, {precision}: weights and momenta differ by at most {max(differences):.2g}")
    for key, tensor in whole.items():
        assert torch.equal(resumed[key], tensor), key


def test_bf16_trains_on_a_gpu_and_leaves_float32_weights(dataset: Dataset, tmp_path: Path) -> None:
    steps = {"epochs": 12, "batch": 4, "lr": 0.05, "head": "relational"}
    run, trainer = tiny_run(dataset, tmp_path / "run", precision="bf16", device="cuda", **steps)
    trained = run.train(trainer, None)
    losses = [row["loss"] for row in trained.log]
    print(f"bf16: loss {losses[0]:.3f} to {losses[-1]:.3f}")
    assert sum(losses[-3:]) < sum(losses[:3])
    weights = trainer.network.exported()
    assert {tensor.dtype for name, tensor in weights.items() if name.endswith("weight")} == {torch.float32}


@pytest.mark.parametrize("name", ["r3d_tiny", "r3d"])
def test_features_on_a_gpu_are_those_of_the_cpu(videos: Dataset, name: str) -> None:
    network = vcp_core.build(name, seed=3)
    plan = EvaluationPlan(dataset=videos, protocol=CI, spec=network.spec)
    shards = cut_shards(videos.videos[:2], plan.clips)
    here, there = (
        next(extract(network, videos, shards, device=torch.device(device))).stages
        for device in ("cpu", "cuda")
    )
    worst = {
        stage: float((np.linalg.norm(there[stage] - rows, axis=1) / np.linalg.norm(rows, axis=1)).max())
        for stage, rows in here.items()
    }
    print(f"{name}, relative difference after each stage:", {k: f"{v:.1e}" for k, v in worst.items()})
    assert max(worst.values()) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("name", ["r3d_tiny", "r3d"])
def test_scores_on_a_gpu_are_those_of_the_cpu_within_the_stated_tolerance(
    videos: Dataset, tmp_path: Path, name: str
) -> None:
    torch.save(vcp_core.build(name, seed=5).state_dict(), tmp_path / "weights.pt")
    here, there = (
        vcp_core.evaluate(tmp_path / "weights.pt", videos, CI, device=device, controls=False)
        for device in ("cpu", "cuda")
    )
    found = agreement(here, there)
    moved = [(one.metric, one.first, one.second, one.allowed) for one in found.deviations]
    print(f"{name}: {len(moved)} of {found.num_scores} scores moved", moved)
    assert found.conditions
    assert found.reproduced
