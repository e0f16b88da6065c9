"""A sound exported archive in parts, which tests change and pack again."""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import pickle
import zipfile
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tests.graphs.networks import exported_bytes

MODEL = "models/model.json"
CONFIG = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


class Small(nn.Module):
    """A convolution, a batch norm, and a linear layer on their average."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(3, 4, 3, stride=(1, 4, 4), bias=False), nn.BatchNorm3d(4)
        self.fc = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.norm(self.conv(x)))
        out: Tensor = self.fc(x.mean((2, 3, 4)))
        return out


@functools.cache
def sound() -> bytes:
    """The archive of `Small`, as torch.export.save writes it."""
    torch.manual_seed(0)
    return exported_bytes(Small().eval())


@dataclass
class Parts:
    """An archive in parts.

    Attributes:
        entries: Bytes by name, without the outer folder.
        model: The description of the network.
        config: The description of its weights.
    """

    entries: dict[str, bytes] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> dict[str, Any]:
        found: dict[str, Any] = self.model["graph_module"]
        return found

    @property
    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.module["graph"]["nodes"]
        return found

    def node(self, base: str) -> dict[str, Any]:
        """The first node of an operation."""
        return next(node for node in self.nodes if node["target"].split(".")[-2] == base)

    def argument(self, base: str, name: str) -> dict[str, Any]:
        """The argument of the first node of an operation."""
        found: dict[str, Any] = next(one["arg"] for one in self.node(base)["inputs"] if one["name"] == name)
        return found

    def weight(self, name: str = "fc.weight") -> dict[str, Any]:
        """The description of a weight."""
        found: dict[str, Any] = self.config["config"][name]
        return found

    def append(self, target: str, /, *, result: str = "added", output: bool = True, **arguments: Any) -> None:
        """Add a node at the end, and let the network give its result."""
        inputs = [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()]
        outputs = [{"as_tensor": {"name": result}}]
        self.nodes.append({"target": target, "inputs": inputs, "outputs": outputs, "metadata": {}})
        if output:
            self.module["graph"]["outputs"] = outputs
            self.module["signature"]["output_specs"] = [{"user_output": {"arg": outputs[0]}}]

    def pack(self, *, compression: int = zipfile.ZIP_STORED) -> bytes:
        held = io.BytesIO()
        described = {MODEL: self.model, CONFIG: self.config}
        entries = self.entries | {name: json.dumps(said).encode() for name, said in described.items()}
        with zipfile.ZipFile(held, "w", compression) as archive:
            for name, data in entries.items():
                archive.writestr(f"net/{name}", data)
        return held.getvalue()


@functools.cache
def _sound_parts() -> Parts:
    with zipfile.ZipFile(io.BytesIO(sound())) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return Parts(entries, json.loads(entries[MODEL]), json.loads(entries[CONFIG]))


def parts() -> Parts:
    """The sound archive in parts, to change."""
    return copy.deepcopy(_sound_parts())


class Runs:
    """An object that makes a file when it is unpickled."""

    def __init__(self, canary: str) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._canary,)


def pickled(canary: str) -> bytes:
    """A pickle that makes a folder of this name when it is loaded."""
    return pickle.dumps(Runs(canary))


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}
