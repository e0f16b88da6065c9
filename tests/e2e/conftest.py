"""A registered dataset and checkpoints, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.datasets_on_disk import make_folder
from vcp_core.backbones import build


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve videos of 100 frames in two classes."""
    return make_folder(tmp_path_factory.mktemp("videos") / "small")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as a training script saves them."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"state_dict": build("r3d_tiny", seed=7).state_dict(), "epoch": 3}, path)
    return path
