"""A run's folder: the state to go on from, the log, and checkpoints that upload as they are.

OUT/run.json                    what was asked for, by which a resumed run knows itself, and on what it ran
OUT/state.pt                    everything to go on from: weights, optimizer, progress, best
OUT/log.jsonl                   a line per epoch
OUT/best.safetensors            the weights of the lowest held-out loss
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

from vcp_core.catalog.errors import Private, StorageError, TrainingError
from vcp_core.catalog.files import whole, write_json
from vcp_core.checkpoints.origin import METADATA

BEST = "best.safetensors"
CONDITIONS = ("processes", "network_threads", "device", "versions")  # under others the digits are others
_DAMAGE = (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best look at the held-out videos so far."""

    epoch: int
    step: int
    loss: float
    accuracy: float


@dataclass(kw_only=True)
class RunProgress:
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
    def from_dict(cls, values: Mapping[str, Any]) -> RunProgress:
        """The progress that `dataclasses.asdict` took apart."""
        best = values["best"]
        return cls(**{**values, "best": None if best is None else Best(**best)})


def name_of(path: Path, asked: str | None) -> str:
    """A run's name: as asked for, as the folder has it, or the folder's own."""
    if asked is None and (path / "state.pt").exists():
        asked = _read_note(path)["facts"]["run"]
    return asked or path.absolute().name


class RunFolder:
    """Files of one run.

    Args:
        path: The folder; made if need be.
        identity: What makes it this run and no other: task, numbers, dataset.
        facts: What exported checkpoints say about themselves besides: `run`, `CONDITIONS`, ...

    Attributes:
        notes: What a reader of the run must know; `claim` fills it.

    Raises:
        StorageError: If it cannot be written.
    """

    def __init__(self, path: Path, *, identity: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._identity, self._facts = identity, facts
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Take the folder until `release`, and find that it is ours, or nobody's.

        A run that has saved nothing yet has nothing to lose: another may take its folder.

        Raises:
            TrainingError: If another process trains here, or it holds another run; says what differs.
        """
        self._lock = _locked(self.path)
        self.read_log()  # what is damaged is said before training, not after an epoch of it
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
        """What the last part of the run was trained on."""
        return {name: self._facts[name] for name in CONDITIONS if name in self._facts}

    def release(self) -> None:
        """Leave the folder to other processes."""
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
        """Keep what the run was trained on so far, where it goes on under something else."""
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
        """Put the state in place, whole or not at all.

        Raises:
            StorageError: If it cannot be written.
        """
        data = io.BytesIO()  # torch.save on a file says of a full disk what nobody understands
        # "place" is the progress's key in every state that was ever saved: kept, so that runs can go on.
        torch.save({"place": asdict(progress), "model": dict(model), "optimizer": dict(optimizer)}, data)
        write_json(self.path / "run.json", {**self._identity, "facts": self._facts})
        with whole(self.path / "state.pt") as part:
            part.write_bytes(data.getbuffer())

    def load(self) -> tuple[RunProgress, dict[str, Tensor], dict[str, Any]] | None:
        """The state to go on from; None at the beginning.

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
            reason = Private(str(error).partition("\n")[0])  # torch's own words
            raise TrainingError(
                path,
                " cannot be read (",
                reason,
                "). If it is damaged, begin again in another --out; the checkpoints beside it are whole.",
            ) from error

    def export(self, name: str, tensors: Mapping[str, Tensor], progress: RunProgress) -> Path:
        """Write a checkpoint that says where it comes from.

        Args:
            name: Relative to the folder, such as "best.safetensors".
            tensors: The backbone's keys, and a head's.
            progress: When.

        Raises:
            StorageError: If it cannot be written.
        """
        said = {**self._facts, "step": progress.step, "epoch": progress.epoch}
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
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise TrainingError(
                path, " is damaged. Move it away; only the curve until here is lost."
            ) from error

    def log(self, row: Mapping[str, Any]) -> None:
        """Add the line of an epoch; lines of a future that a resumed run has not reached go."""
        rows = [*(old for old in self.read_log() if old["epoch"] < row["epoch"]), dict(row)]
        with whole(self.path / "log.jsonl") as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")


def _mixed(parts: list[dict[str, Any]]) -> str:
    """What a run was trained on, part by part."""
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
    """The folder's lock, which goes with the process that holds it."""
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
        pass  # a file system without locks
    return handle
