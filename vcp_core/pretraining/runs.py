"""A run's folder: the state to go on from, the log, and checkpoints that upload as they are.

OUT/run.json                    what was asked for, by which a resumed run knows itself
OUT/state.pt                    everything to go on from: weights, optimizer, place, best
OUT/log.jsonl                   a line per epoch
OUT/best.safetensors            the weights of the lowest held-out loss
OUT/checkpoints/step-000123.safetensors
OUT/tensorboard/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.files import whole, write_json
from vcp_core.checkpoints.origin import METADATA


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best look at the held-out videos so far."""

    epoch: int
    step: int
    loss: float
    accuracy: float


@dataclass(kw_only=True)
class Place:
    """Where a run is.

    Attributes:
        epoch: Epochs that are over.
        step: Steps that are over, in all.
        tally: Of the epoch that is under way: loss and counts so far.
        best: None before the first look.
        looks_since_best: Looks at the held-out videos since then.
        finished: Whether there is nothing left to do.
    """

    epoch: int = 0
    step: int = 0
    tally: dict[str, list[float]] = field(default_factory=dict)
    best: Best | None = None
    looks_since_best: int = 0
    finished: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Place:
        """The place that `dataclasses.asdict` took apart."""
        best = values["best"]
        return cls(**{**values, "best": None if best is None else Best(**best)})


class RunFolder:
    """Files of one run.

    Args:
        path: The folder; made if need be.
        identity: What makes it this run and no other: task, configuration, dataset, versions of formats.
        facts: What exported checkpoints say about themselves besides.

    Raises:
        TrainingError: If the folder holds another run; says what differs.
        StorageError: If it cannot be written.
    """

    def __init__(self, path: Path, *, identity: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path = path
        self._identity, self._facts = identity, facts

    def claim(self) -> None:
        """Note whose folder it is, or find that it is ours."""
        note = self.path / "run.json"
        if not note.exists():
            write_json(note, {**self._identity, "facts": self._facts})
            return
        held = json.loads(note.read_text(encoding="utf-8"))
        wanted = json.loads(json.dumps(self._identity))
        differing = [name for name in wanted if held.get(name) != wanted[name]]
        if differing:
            pairs = "; ".join(f"{name} was {held.get(name)}, now {wanted[name]}" for name in differing)
            raise TrainingError(
                f"{self.path} holds another run: {pairs}. Choose another --out, or the same options."
            )

    def save(self, place: Place, model: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Put the state in place, whole or not at all.

        Raises:
            StorageError: If it cannot be written.
        """
        with whole(self.path / "state.pt") as part:
            torch.save({"place": asdict(place), "model": dict(model), "optimizer": dict(optimizer)}, part)

    def load(self) -> tuple[Place, dict[str, Tensor], dict[str, Any]] | None:
        """The state to go on from; None at the beginning."""
        path = self.path / "state.pt"
        if not path.exists():
            return None
        state = torch.load(path, map_location="cpu", weights_only=True)
        return Place.from_dict(state["place"]), state["model"], state["optimizer"]

    def export(self, name: str, tensors: Mapping[str, Tensor], place: Place) -> Path:
        """Write a checkpoint that says where it comes from.

        Args:
            name: Relative to the folder, such as "best.safetensors".
            tensors: The backbone's keys, and a head's.
            place: When.

        Raises:
            StorageError: If it cannot be written.
        """
        said = {**self._facts, "step": place.step, "epoch": place.epoch}
        # One key: safetensors writes several in any order, and the same weights would be another upload.
        metadata = {METADATA: json.dumps(said, sort_keys=True)}
        data = safetensors.torch.save(dict(tensors), metadata=metadata)
        with whole(self.path / name) as part:
            part.write_bytes(data)
        return self.path / name

    def read_log(self) -> list[dict[str, Any]]:
        """Lines so far, one per epoch."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def log(self, row: Mapping[str, Any]) -> None:
        """Add the line of an epoch; lines of a future that a resumed run has not reached go."""
        rows = [*(old for old in self.read_log() if old["epoch"] < row["epoch"]), dict(row)]
        with whole(self.path / "log.jsonl") as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")
