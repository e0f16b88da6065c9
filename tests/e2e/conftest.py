"""A registered dataset and checkpoints, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_folder
from vcp_core.backbones import build


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
    found = vcp_core.evaluate(checkpoint, folder, "quick-v1", device="cpu").model_dump(mode="json")
    return list(found["benchmarks"])
