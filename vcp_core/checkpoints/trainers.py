"""What trainers write beside the weights: how far the training was, and the name of its run; no torch.

All of it is a claim of whoever wrote the file: it names a point of a learning curve, and decides nothing.
Sources are in docs/decisions/2026-11-28-several-networks.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Value = int | str
MAX_TEXT = 200  # characters of a name or a value
MOST = 1 << 62  # of a count


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Where one trainer keeps what it says.

    Attributes:
        name: Its name.
        sign: A value, dictionary or tensor that its files have.
        step: Where the count of optimizer steps is.
        epoch: Where the count of epochs is.
        run: Where the name of the run is.
    """

    name: str
    sign: str
    step: tuple[str, ...] = ()
    epoch: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


TRAINERS = (
    Trainer(name="Lightning", sign="pytorch-lightning_version", step=("global_step",), epoch=("epoch",)),
    Trainer(
        name="MMEngine",
        sign="meta.mmengine_version",
        step=("meta.iter",),
        epoch=("meta.epoch",),
        run=("meta.experiment_name",),
    ),
    Trainer(
        name="MMCV",
        sign="meta.mmcv_version",
        step=("meta.iter",),
        epoch=("meta.epoch",),
        run=("meta.exp_name",),
    ),
    Trainer(
        name="fairseq",
        sign="extra_state.train_iterator",
        step=("optimizer_history.-1.num_updates",),
        epoch=("extra_state.train_iterator.epoch",),
    ),
    Trainer(
        name="Composer",
        sign="state.timestamp",
        step=("state.timestamp.batch", "state.timestamp.Timestamp.batch"),
        epoch=("state.timestamp.epoch", "state.timestamp.Timestamp.epoch"),
        run=("state.run_name",),
    ),
    Trainer(name="DeepSpeed", sign="global_steps", step=("global_steps",)),
)
# Names that many scripts give them, at the top of a file or in one of these dictionaries.
_STEPS = (
    "global_step",
    "step",
    "iteration",
    "iter",
    "num_updates",
    "num_steps",
    "train_step",
    "n_iter",
    "steps",
)
_EPOCHS = ("epoch", "current_epoch", "last_epoch", "epochs_run")
_RUNS = ("run_name", "experiment_name", "exp_name")
_PREFIXES = ("", "meta.", "state.", "trainer.", "trainer_state.", "training_state.", "train_state.", "info.")
ANYBODY = Trainer(
    name="",
    sign="",
    step=tuple(prefix + name for prefix in _PREFIXES for name in _STEPS),
    epoch=tuple(prefix + name for prefix in _PREFIXES for name in _EPOCHS),
    run=tuple(prefix + name for prefix in _PREFIXES for name in _RUNS),
)

# What the names of files count: of Lightning, MMEngine and SlowFast. A bare number may count anything:
# `model_100.pt` is an epoch of VCOP's and a step of detectron2's.
_NAMED = {"step": r"(?:step|iter(?:ation)?)[=_-]?(\d{1,18})", "epoch": r"epoch[=_-]?(\d{1,18})"}


@dataclass(frozen=True, kw_only=True)
class Training:
    """How far a training was when a file was written, as the file says it.

    Attributes:
        step: Optimizer steps.
        epoch: Epochs.
        run: Name of the run.
        sources: Where each of these comes from: "'global_step' in the file", "the file's name".
    """

    step: int | None = None
    epoch: int | None = None
    run: str | None = None
    sources: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"step": self.step, "epoch": self.epoch, "run": self.run, "sources": dict(self.sources)}


def training_of(values: Mapping[str, Value], there: Iterable[str], *, name: str = "") -> Training | None:
    """What a file says of its training; None where it says nothing.

    Args:
        values: Whole numbers and short texts of the file, by path.
        there: Paths of its dictionaries and tensors.
        name: Of the file. It tells what the contents do not.

    >>> training_of({"pytorch-lightning_version": "2.5.0", "global_step": 2000, "epoch": 1}, ()).step
    2000
    >>> training_of({}, (), name="epoch=1-step=2000.ckpt").sources
    {'step': "the file's name", 'epoch': "the file's name"}
    """
    signs = {*values, *there}
    trainer = next((one for one in TRAINERS if one.sign in signs), ANYBODY)
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for fact in ("step", "epoch", "run"):
        for path in getattr(trainer, fact):
            value = _value(values, path)
            if value is not None and isinstance(value, str) == (fact == "run"):
                found[fact], sources[fact] = value, f"{path!r} in the file"
                break
    counts = {fact: count for fact, count in counts_in_name(name).items() if fact not in found}
    found |= counts
    sources |= dict.fromkeys(counts, "the file's name")
    return Training(**found, sources=sources) if found else None


def counts_in_name(name: str) -> dict[str, int]:
    """Steps and epochs that a file's name counts.

    >>> counts_in_name("checkpoint_epoch_00195.pyth"), counts_in_name("iter_2000.pth")
    ({'epoch': 195}, {'step': 2000})
    >>> counts_in_name("r3d_18-b3b3357e.pth")
    {}
    """
    counts: dict[str, set[int]] = {}
    for fact, pattern in _NAMED.items() if len(name) <= MAX_TEXT else ():
        counts[fact] = set(map(int, re.findall(rf"(?<![a-z]){pattern}(?![\d.]*\d)", name, re.IGNORECASE)))
    return {fact: found.pop() for fact, found in counts.items() if len(found) == 1 and max(found) < MOST}


def _value(values: Mapping[str, Value], path: str) -> Value | None:
    if ".-1." in path:
        before, _, after = path.partition(".-1.")
        ends = [key for key in values if re.fullmatch(rf"{re.escape(before)}\.\d+\.{re.escape(after)}", key)]
        path = max(ends, key=lambda key: int(key.removeprefix(f"{before}.").partition(".")[0]), default="")
    value = values.get(path)
    if isinstance(value, str):
        return value if value.strip() and value.isprintable() else None
    return value if value is not None and 0 <= value < MOST else None
