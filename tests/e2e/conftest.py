"""A registered dataset and checkpoints, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_folder
from vcp_core.backbones import build
from vcp_core.catalog.protocols import protocol_from

# quick-v1 with a fifth of its clips: what happens to them is the same.
LIGHT = {
    "name": "light",
    "base": "quick-v1",
    "grid": {"num_clips": 1},
    "control": {"seeds": [0], "calibration_clips": 16, "pixels": False},
}
WITH_PIXELS = {**LIGHT, "name": "with-pixels", "control": {"seeds": [0], "calibration_clips": 16}}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of 100 frames in two classes."""
    return make_folder(tmp_path_factory.mktemp("videos") / "small")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as a training script saves them."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"state_dict": build("r3d_tiny", seed=7).state_dict(), "epoch": 3}, path)
    return path


@pytest.fixture(scope="session")
def undisturbed(folder: Path, checkpoint: Path) -> list[dict[str, Any]]:
    """What the library gives, in one process."""
    return in_the_library(checkpoint, folder, LIGHT)


def in_the_library(
    checkpoint: Path, dataset: Any, numbers: dict[str, Any], *, input_spec: str | None = None
) -> list[dict[str, Any]]:
    """Its results by benchmark, as JSON has them."""
    found = vcp_core.evaluate(
        checkpoint, dataset, protocol_from(numbers), device="cpu", input_spec=input_spec
    )
    return list(found.model_dump(mode="json")["benchmarks"])
