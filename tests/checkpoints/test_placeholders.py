"""Checkpoints as other people's trainers write them, with the objects that they put beside the weights.

The packages are not needed: a class of the same name and the same way of pickling stands for each of theirs.
"""

from __future__ import annotations

import collections
import pathlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints.test_read import Import, save
from vcp_core.catalog.errors import UnsafeCheckpoint
from vcp_core.checkpoints.read import read_contents

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3)}


@contextmanager
def their(kind: type, name: str) -> Iterator[Any]:
    """The class under their module's name, as long as it is pickled."""
    module, _, short = name.rpartition(".")
    parts = module.split(".")
    added = [m for n in range(len(parts)) if (m := ".".join(parts[: n + 1])) not in sys.modules]
    for there in added:
        sys.modules[there] = types.ModuleType(there)
    kind.__module__, kind.__qualname__, kind.__name__ = module, short, short
    before = getattr(sys.modules[module], short, None)
    setattr(sys.modules[module], short, kind)
    try:
        yield kind
    finally:
        setattr(sys.modules[module], short, before)
        for there in added:
            del sys.modules[there]


class WithState:
    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


class Buffer:
    """As mmengine's: its state names its own methods, which a pickle writes as `getattr`."""

    def smallest(self) -> float:
        return 0.0

    def __init__(self) -> None:
        self.log = np.arange(3.0)
        self.methods = {"min": Buffer.smallest}


class PathOf313:
    """As pathlib's of Python 3.13: pickled with its parts, under the name of a module of that version."""

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        return type(self), ("/", "data", "clips")


class AttributeDict(dict[str, object]):
    """As Lightning's."""


class ConfigDict(dict[str, object]):
    """As addict's and those made of it: a dictionary with attributes."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.frozen = True


def saved(path: Path, kind: type, name: str, *args: Any, **kwargs: Any) -> Path:
    with their(kind, name) as theirs:
        return save({"state_dict": WEIGHTS, "beside": [theirs(*args, **kwargs)]}, path)


@pytest.mark.parametrize(
    "name",
    [
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    ],
)
def test_lightnings_hyper_parameters_are_read_as_a_dictionary(tmp_path: Path, name: str) -> None:
    kind = type("AttributeDict", (AttributeDict,), {})
    contents = read_contents(saved(tmp_path / "last.ckpt", kind, name, {"lr": 0.1, "mean": torch.ones(3)}))
    assert set(contents.tensors) == {"state_dict.conv.weight", "beside.0.mean"}


@pytest.mark.parametrize(
    "name", ["addict.addict.Dict", "mmengine.config.config.ConfigDict", "yacs.config.CfgNode"]
)
def test_configurations_with_attributes_are_read_as_dictionaries(tmp_path: Path, name: str) -> None:
    kind = type("ConfigDict", (ConfigDict,), {})
    assert set(read_contents(saved(tmp_path / "a.pth", kind, name, {"lr": 0.1})).tensors) == {
        "state_dict.conv.weight"
    }


def test_an_omegaconf_tree_is_inert(tmp_path: Path) -> None:
    metadata = type("ContainerMetadata", (WithState,), {})
    config = type("DictConfig", (WithState,), {})
    with (
        their(metadata, "omegaconf.base.ContainerMetadata"),
        their(config, "omegaconf.dictconfig.DictConfig"),
    ):
        about = metadata(
            ref_type=Any, object_type=dict, optional=True, resolver_cache=collections.defaultdict(dict)
        )
        beside = config(_metadata=about, _content={"lr": 0.1})
        path = save({"hyper_parameters": beside, "state_dict": WEIGHTS}, tmp_path / "last.ckpt")
    assert set(read_contents(path).tensors) == {"state_dict.conv.weight"}


def test_mmengines_message_hub_with_its_history_buffers_is_inert(tmp_path: Path) -> None:
    name = "mmengine.logging.history_buffer.HistoryBuffer"
    assert set(read_contents(saved(tmp_path / "epoch_100.pth", Buffer, name)).tensors) == {
        "state_dict.conv.weight"
    }


@pytest.mark.parametrize("name", ["Path", "PosixPath", "PurePosixPath", "WindowsPath"])
def test_paths_that_python_3_13_pickled_are_inert(tmp_path: Path, name: str) -> None:
    kind = type(name, (PathOf313,), {})
    assert set(read_contents(saved(tmp_path / "last.ckpt", kind, f"pathlib._local.{name}")).tensors) == {
        "state_dict.conv.weight"
    }


def test_a_method_of_anything_else_is_still_refused(tmp_path: Path) -> None:
    path = save(
        {"net": WEIGHTS, "x": Import(getattr, pathlib.PurePosixPath, "joinpath")}, tmp_path / "evil.pth"
    )
    with pytest.raises(UnsafeCheckpoint, match=r"builtins\.getattr"):
        read_contents(path)


def test_another_trainers_class_is_refused_by_its_name(tmp_path: Path) -> None:
    kind = type("Trainer", (WithState,), {})
    with pytest.raises(UnsafeCheckpoint, match=r"trainers\.mine\.Trainer"):
        read_contents(saved(tmp_path / "a.pth", kind, "trainers.mine.Trainer"))


def test_numpys_scalars_under_either_of_its_names_are_inert(tmp_path: Path) -> None:
    path = save({"best": np.float64(61.5), "step": np.int64(3), "net": WEIGHTS}, tmp_path / "a.pth")
    assert set(read_contents(path).tensors) == {"net.conv.weight"}
