"""A run's folder: the saved state, the log, and checkpoints that can be uploaded unchanged.

OUT/run.json                    the run's numbers, which identify it, and its device and versions
OUT/state.pt                    the state to go on from: weights, optimizer, progress, best
OUT/log.jsonl                   a line per epoch
OUT/log.csv                     its curves, as `vcpbench log upload` takes them
OUT/best.safetensors            the weights with the lowest held-out loss
OUT/checkpoints/step-000123.safetensors
OUT/tensorboard/
OUT/.lock                       held while a process trains here
"""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

from vcp_core.catalog import logs
from vcp_core.catalog.errors import Private, StorageError, TrainingError
from vcp_core.catalog.files import whole, write_json
from vcp_core.checkpoints.origin import METADATA

CURVES = "log.csv"
BEST = "best.safetensors"
CONDITIONS = (
    "processes",
    "network_threads",
    "device",
    "versions",
)  # the digits of the weights depend on these
_DAMAGE = (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best result on the held-out videos so far."""

    epoch: int
    step: int
    loss: float
    accuracy: float


@dataclass(kw_only=True)
class RunProgress:
    """The progress of a run.

    Attributes:
        epoch: Number of finished epochs.
        step: Number of finished steps, over all epochs.
        tally: Loss and counts of the current epoch so far.
        best: The best result on the held-out videos; None before the first one.
        looks_since_best: Number of results on the held-out videos since the best one.
        finished: Whether the run is at its end.
    """

    epoch: int = 0
    step: int = 0
    tally: dict[str, list[float]] = field(default_factory=dict)
    best: Best | None = None
    looks_since_best: int = 0
    finished: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunProgress:
        """Make the progress from the result of `dataclasses.asdict`."""
        best = values["best"]
        return cls(**{**values, "best": None if best is None else Best(**best)})


def name_of(path: Path, asked: str | None) -> str:
    """A run's name: the one asked for, or the one in the folder's run.json, or the folder's name.

    >>> name_of(Path("runs/r3d"), None), name_of(Path("runs/r3d"), "first try")
    ('r3d', 'first try')
    """
    if asked is None and (path / "state.pt").exists():
        asked = _read_note(path)["facts"]["run"]
    return asked or path.absolute().name


class RunFolder:
    """Files of one run.

    Args:
        path: The folder. It is made if it does not exist.
        identity: The facts that identify the run: task, numbers, dataset.
        facts: Other facts that exported checkpoints record: `run`, `CONDITIONS`, ...

    Attributes:
        notes: Remarks for readers of the run. `claim` fills them.

    Raises:
        StorageError: If the folder cannot be written.
    """

    def __init__(self, path: Path, *, identity: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._identity, self._facts = identity, facts
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Lock the folder until `release`, and check that it is empty or holds this run.

        Another run may take the folder of a run that has saved no state: there is nothing to lose.

        Raises:
            TrainingError: If another process trains here, or the folder holds another run. The message says
                how the runs differ.
        """
        self._lock = _locked(self.path)
        self.read_log()  # reports a damaged log before training, not after the first epoch
        saved = self.load()
        if saved is None:
            if (self.path / BEST).exists():
                raise TrainingError(
                    self.path,
                    " holds checkpoints of a run whose state.pt is gone, and they would be "
                    "overwritten. Put it back, or choose another --out.",
                )
            return
        held = _read_note(self.path)
        self._compare(held)
        self._go_on(held["facts"], saved[0])

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of the last part of the run."""
        return {name: self._facts[name] for name in CONDITIONS if name in self._facts}

    def release(self) -> None:
        """Unlock the folder for other processes."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _compare(self, held: dict[str, Any]) -> None:
        wanted = json.loads(json.dumps({**self._identity, "run": self._facts.get("run")}))
        held = {**held, "run": held["facts"].get("run")}
        differing = [name for name in wanted if held.get(name) != wanted[name]]
        if differing:
            pairs = "; ".join(f"{name} was {held.get(name)}, now {wanted[name]}" for name in differing)
            raise TrainingError(
                self.path, f" holds another run: {pairs}. Choose another --out, or the same options."
            )

    def _go_on(self, held: dict[str, Any], progress: RunProgress) -> None:
        """Record the earlier conditions of a run that goes on under other ones."""
        earlier = held.get("earlier", [])
        before = {name: held[name] for name in CONDITIONS if name in held}
        if progress.finished:
            rest = {name: fact for name, fact in self._facts.items() if name not in CONDITIONS}
            self._facts = {**rest, **before}
        elif any(before[name] != self._facts.get(name) for name in before):
            earlier = [*earlier, {"until_step": progress.step, **before}]
        if earlier:
            self._facts = {**self._facts, "earlier": earlier}
            self.notes = (_mixed([*earlier, self._facts]),)

    def save(self, progress: RunProgress, model: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all.

        Raises:
            StorageError: If the folder cannot be written.
        """
        data = io.BytesIO()  # torch.save on a file reports a full disk with an unclear error
        # "place" is the progress's key in every state that was ever saved: kept, so that runs can go on.
        torch.save({"place": asdict(progress), "model": dict(model), "optimizer": dict(optimizer)}, data)
        # Before the state, which `claim` refuses if no run.json says of which run it is.
        write_json(self.path / "run.json", {**self._identity, "facts": self._facts})
        with whole(self.path / "state.pt") as part:
            part.write_bytes(data.getbuffer())

    def load(self) -> tuple[RunProgress, dict[str, Tensor], dict[str, Any]] | None:
        """Load the state to go on from; None if no state was saved.

        Raises:
            TrainingError: If the file is damaged.
        """
        path = self.path / "state.pt"
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            return RunProgress.from_dict(state["place"]), state["model"], state["optimizer"]
        except _DAMAGE as error:
            reason = Private(str(error).partition("\n")[0])  # torch's own message
            raise TrainingError(
                path,
                " cannot be read (",
                reason,
                "). If it is damaged, begin again in another --out; the checkpoints beside it are whole.",
            ) from error

    def export(self, name: str, tensors: Mapping[str, Tensor], progress: RunProgress) -> Path:
        """Write a checkpoint that records its origin.

        Args:
            name: Relative to the folder, such as "best.safetensors".
            tensors: Weights under the backbone's keys, and the head's.
            progress: The progress of the run at these weights.

        Raises:
            StorageError: If the folder cannot be written.
        """
        said = {**self._facts, "step": progress.step, "epoch": progress.epoch}
        # One key: safetensors writes several keys in any order, so the same weights could give other bytes.
        metadata = {METADATA: json.dumps(said, sort_keys=True)}
        data = safetensors.torch.save(dict(tensors), metadata=metadata)
        with whole(self.path / name) as part:
            part.write_bytes(data)
        return self.path / name

    def read_log(self) -> list[dict[str, Any]]:
        """The rows of the log, one per epoch."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise TrainingError(
                path, " is damaged. Move it away; only the curve until here is lost."
            ) from error

    def log(self, row: Mapping[str, Any]) -> None:
        """Add the row of an epoch, and drop rows of later epochs: a resumed run trains those again."""
        rows = [*(old for old in self.read_log() if old["epoch"] < row["epoch"]), dict(row)]
        with whole(self.path / "log.jsonl") as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")
        with whole(self.path / CURVES) as part:
            part.write_text(logs.write([_curves(line) for line in rows]), encoding="utf-8")


def _curves(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's row that a chart shows."""
    found = {"step": row["step"], "loss": row["loss"], "accuracy": row["accuracy"]}
    if held_out := row.get("held_out"):
        found |= {"held_out_loss": held_out["loss"], "held_out_accuracy": held_out["accuracy"]}
    return found | {"learning_rate": row["lr"]}


def _mixed(parts: list[dict[str, Any]]) -> str:
    """Say under which conditions each part of a run was trained."""
    changes = [
        f"until step {one['until_step']} {name} {one[name]}, then {other.get(name)}"
        for one, other in itertools.pairwise(parts)
        for name in CONDITIONS
        if name in one and one[name] != other.get(name)
    ]
    return f"trained under more than one condition, so not as under either alone: {'; '.join(changes)}"


def _read_note(path: Path) -> dict[str, Any]:
    note = path / "run.json"
    try:
        held: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        _ = held["facts"]["run"]
    except (OSError, *_DAMAGE) as error:
        raise TrainingError(
            path,
            " holds the state of a run and no readable run.json that says of which. Put it back, or "
            "choose another --out.",
        ) from error
    return held


def _locked(path: Path) -> IO[str]:
    """Lock the folder. The system releases the lock when the process ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = (path / ".lock").open("w")
    except OSError as error:
        raise StorageError(path, f" cannot be written: {error.strerror or error}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise TrainingError(
            path, " is being trained by another process. Wait for it, or choose another --out."
        ) from error
    except OSError:
        pass  # this file system has no locks: train without one
    return handle
