"""How large the numbers of a protocol, and the plan of an evaluation, may be. Each ceiling has its reason.

A ceiling is far above what anybody needs: standard-v1 with ten times the clips runs on Kinetics-400. It
stands between a mistake, or an attack, and the machines that all teams share. Protocols are checked when
somebody registers or runs them. Stored protocols can be read, whatever their numbers are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_SEED = (1 << 53) - 1  # every reader of JSON keeps such a number exactly


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The largest value of a number, or the most items of a list.

    Attributes:
        most: The largest allowed value.
        why: The reason: the rest of a sentence that begins with the number's name.
    """

    most: float
    why: str


@dataclass(frozen=True)
class Excess:
    """A number above its ceiling.

    Attributes:
        name: The number's name, such as "grid.num_clips".
        value: What was asked for: the number, or how many items.
        items: Whether `value` counts the items of a list.
        ceiling: The ceiling.
    """

    name: str
    value: float
    items: bool
    ceiling: Ceiling

    def __str__(self) -> str:
        """What was asked for, what is allowed, why, and what to do.

        >>> print(Excess("knn.k", 5000, False, VALUES["knn.k"]))
        knn.k = 5000 is above its ceiling of 1000: it is the neighbours that vote for each video. Lower it
        """
        most, why = _spelt(self.ceiling.most), self.ceiling.why
        if self.items:
            return (
                f"{self.name} has {_spelt(self.value)} items, above its ceiling of {most}: {why}. Name fewer"
            )
        return f"{self.name} = {_spelt(self.value)} is above its ceiling of {most}: {why}. Lower it"


_SEED = Ceiling(most=MOST_SEED, why="a larger number is not kept exactly by every reader of JSON")
_EPOCHS = Ceiling(most=10_000, why="it counts epochs, and the papers train for at most 300")

# The largest values, by the name of the number. For a list, each of its items is meant.
VALUES: Mapping[str, Ceiling] = {
    "seed": _SEED,
    "grid.num_clips": Ceiling(
        most=1000, why="each is a forward pass for each video, and more clips than frames are repeats"
    ),
    "cloze.gap": Ceiling(most=10_000, why="it is in frames, and a question needs a video of that length"),
    "cloze.remote_gap": Ceiling(
        most=10_000, why="it is in frames, and a question needs a video of that length"
    ),
    "cloze.num_tuples": Ceiling(most=100, why="each is about seven forward passes for each video"),
    "probe.l2": Ceiling(most=1e6, why="on standardised features, all weights are 0 from there on"),
    "probe.max_iterations": Ceiling(
        most=10_000, why="each reads all features, and fits converge in tens of iterations"
    ),
    "probe.tolerance": Ceiling(most=1, why="no gradient of a log loss on standardised features is larger"),
    "knn.k": Ceiling(most=1000, why="it is the neighbours that vote for each video"),
    "knn.temperature": Ceiling(most=1000, why="similarities lie between -1 and 1, so all votes are equal"),
    "retrieval.ks": Ceiling(most=1000, why="it is the depth to which a person would look through a ranking"),
    "interval.num_resamples": Ceiling(most=1_000_000, why="it has no effect any more"),
    "control.seeds": _SEED,
    "control.calibration_clips": Ceiling(
        most=10_000, why="one job forwards them, and the statistics of batch norm settle within hundreds"
    ),
    "finetune.epochs": _EPOCHS,
    "finetune.batch": Ceiling(most=4096, why="all clips of a batch are in memory together"),
    "finetune.lr": Ceiling(most=1000, why="no network learns at such a rate"),
    "finetune.warmup_epochs": _EPOCHS,
    "finetune.holdout_videos": Ceiling(most=1_000_000, why="no dataset holds out more videos"),
    "finetune.validate_every": _EPOCHS,
    "finetune.patience": _EPOCHS,
    "finetune.seed": _SEED,
}
# The most items of a list, by its name.
ITEMS: Mapping[str, Ceiling] = {
    "probe.l2": Ceiling(most=50, why="each is one more fit of every probe"),
    "retrieval.ks": Ceiling(most=50, why="each is one more answer for each video, and one more metric"),
    "control.seeds": Ceiling(
        most=20, why="each is one more network that is calibrated, forwarded and scored on all videos"
    ),
}

# The most clips of one network. Kinetics-400 (260,000 videos) under standard-v1 with ten times the clips has
# 28 million. Every clip is a place in the features, in the shards and in the memory of scoring.
PLAN_CLIPS = 50_000_000
# About the most shards, and so extract jobs, of an evaluation and its controls together. Queueing and
# cancelling jobs changes their rows under the flow's lock, for which all workers wait. At most half of the
# jobs are one network's, and are queued at once: that holds the lock for less than a second. Larger plans are
# not refused: their shards have more clips.
PLAN_JOBS = 20_000
# Memory that planning may add to its process. It holds the dataset's list of videos, and one shard at a time.
PLAN_BYTES = 2 << 30


def exceeded(numbers: Mapping[str, Any]) -> Iterator[Excess]:
    """Find the numbers of a protocol that are above their ceilings.

    Args:
        numbers: The protocol as plain values: `Protocol.model_dump()`.

    >>> [one.name for one in exceeded({"grid": {"num_clips": 10**9}, "knn": {"k": 20}})]
    ['grid.num_clips']
    """
    for name, value in _named(numbers):
        values = value if isinstance(value, list | tuple) else [value]
        if name in ITEMS and len(values) > ITEMS[name].most:
            yield Excess(name, len(values), True, ITEMS[name])
        if name in VALUES and (above := [one for one in values if not one <= VALUES[name].most]):
            yield Excess(name, above[0], False, VALUES[name])


def _named(numbers: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _spelt(number: float) -> str:
    """Write a number in full, or short if it has very many digits.

    >>> _spelt(10**9), _spelt(1e6), _spelt(0.5), _spelt(10**4000)
    ('1000000000', '1000000', '0.5', 'a number of more than 30 digits')
    """
    if isinstance(number, int):
        return str(number) if abs(number) < 10**30 else "a number of more than 30 digits"
    return f"{number:.0f}" if number.is_integer() and number < 1e15 else f"{number:g}"
