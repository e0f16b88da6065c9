"""Runs small enough for tests: r3d_tiny on 32 x 32 crops of 36 x 48 frames, ten training videos.

As a program it does one run in a process of its own, which tests may kill: it prints every step that is over,
and after the step `pause` it waits for a line on standard input.

    python -m tests.pretraining.kit DATASET.json OUT [pause=2] [epochs=3] [optimizer='"adamw"'] ...
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.datasets_on_disk import make_dataset
from vcp_core.backbones import Backbone, build
from vcp_core.datasets.manifest import Dataset
from vcp_core.pretraining.config import PretrainConfig
from vcp_core.pretraining.loop import Trainer
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.runs import RunProgress
from vcp_core.pretraining.start import Machine, Run, Trained
from vcp_core.pretraining.tasks import ClozeTask

TINY: dict[str, Any] = {"backbone": "r3d_tiny", "epochs": 3, "batch": 2, "export_every": 2, "save_steps": 3}
LENGTHS = (100, 70, 110)  # frames; 70 is enough for a tuple and too short for `remote`


def small_backbone(seed: int = 0) -> Backbone:
    """r3d_tiny as a network of small clips."""
    backbone = build("r3d_tiny", seed=seed)
    backbone.spec = dataclasses.replace(backbone.spec, clip_shape=(3, 16, 32, 32), resize=(36, 48))
    return backbone


def tiny_dataset(root: Path) -> Dataset:
    """Two classes of five training videos and a test video."""
    return make_dataset(root, lengths=LENGTHS, per_class=(5, 1))


def tiny_run(
    dataset: Dataset, out: Path, *, device: str = "cpu", name: str | None = "tiny", **changes: Any
) -> tuple[Run, Trainer]:
    """A run of pretraining as `vcp_core.pretraining.pretrain` begins it, on small clips."""
    config = PretrainConfig(**{**TINY, **changes})
    backbone = small_backbone(config.seed)
    task = ClozeTask(dataset, backbone.spec, config)
    network = ClipsNetwork(backbone, num_clips=3, num_answers=5, head=config.head, seed=config.seed)
    run = Run(dataset, out, config, name, Machine(device=device), {"backbone": "r3d_tiny"})
    return run, run.trainer(task, network)


def train(dataset: Dataset, out: Path, *, pause: int = 0, **changes: Any) -> Trained:
    """The whole run."""
    run, trainer = tiny_run(dataset, out, **changes)
    return run.train(trainer, Printer(pause))


class Printer:
    """Says on standard output which step is over, and waits after the step `pause`."""

    def __init__(self, pause: int) -> None:
        self.pause = pause

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Say where it begins."""
        print(f"begins after {progress.step}", flush=True)

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Say the step."""
        print(f"step {done}", flush=True)
        if done == self.pause:
            sys.stdin.readline()

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Say nothing."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = {name: json.loads(value) for name, _, value in (word.partition("=") for word in sys.argv[3:])}
    train(Dataset.from_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), **options)
    print(json.dumps("done"), flush=True)
