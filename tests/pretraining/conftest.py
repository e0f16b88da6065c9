"""A tiny data set and a cache folder for the whole module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.pretraining.kit import tiny_dataset
from vcp_core.datasets.manifest import Dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten training videos of 100, 70 and 110 frames, two test videos."""
    return tiny_dataset(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where decoded frames are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_place(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Frames of all tests in one cache; one thread, so that digits can be compared with a child's."""
    monkeypatch.setenv("VCPBENCH_CACHE", str(cache))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
