"""The numbers that fix how a training run works, with bounds and choices (PROTOCOL 7 and 4).

The configurations of runs, the protocols and the options of commands all take their defaults, bounds and
choices from here. Importing this module is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "cosine"]
Precision = Literal["fp32", "bf16"]
Augment = Literal["crop", "jitter"]
Head = Literal["concat", "relational"]
Questions = Literal["one", "all"]

GRID_CLIPS = 10  # clips of a video, in recognition and retrieval; PROTOCOL 4
GAP = 8  # frames between neighbouring clips of a cloze tuple; PROTOCOL 3
REMOTE_GAP = 16  # the fewest frames between a tuple and a remote clip; PROTOCOL 3

CHOICES: dict[str, tuple[str, ...]] = {
    "head": get_args(Head),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "optimizer": get_args(Optimizer),
    "questions": get_args(Questions),
    "augment": get_args(Augment),
}
# Bounds have pydantic's names: ge is at least, gt more than, le at most, lt less than.
BOUNDS: dict[str, dict[str, int | float]] = {
    "epochs": {"ge": 1},
    "batch": {"ge": 2},  # batch-norm learns nothing from one example
    "lr": {"gt": 0},
    "momentum": {"ge": 0, "lt": 1},
    "weight_decay": {"ge": 0, "lt": 1},
    "warmup_epochs": {"ge": 0},
    "holdout_videos": {"ge": 1},
    "holdout_most": {"gt": 0, "le": 0.5},
    "seed": {"ge": 0},
    "validate_every": {"ge": 1},
    "export_every": {"ge": 1},
    "save_steps": {"ge": 1},
    "patience": {"ge": 0},
    "gap": {"ge": 0},
    "remote_gap": {"ge": 0},
    "num_clips": {"ge": 1},
}
_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def in_words(bounds: Mapping[str, float]) -> str:
    """Write bounds as the rest of a sentence that begins "it must be".

    >>> in_words(BOUNDS["holdout_most"])
    'more than 0 and at most 0.5'
    """
    return " and ".join(f"{_WORDS[kind]} {bound:g}" for kind, bound in bounds.items())


def fits(value: float, bounds: Mapping[str, float]) -> bool:
    """Tell whether a number is finite and within its bounds.

    >>> fits(0.5, BOUNDS["holdout_most"]), fits(0.0, BOUNDS["lr"]), fits(float("nan"), BOUNDS["seed"])
    (True, False, False)
    """
    checks = {
        "ge": lambda bound: value >= bound,
        "gt": lambda bound: value > bound,
        "le": lambda bound: value <= bound,
        "lt": lambda bound: value < bound,
    }
    return abs(value) < float("inf") and all(checks[kind](bound) for kind, bound in bounds.items())


@dataclass(frozen=True, kw_only=True)
class TrainingNumbers:
    """The numbers that decide a run's weights. The defaults are those of pretraining (PROTOCOL 7).

    Attributes:
        epochs: Number of epochs. An epoch shows every training video once, without the last batch if that is
            smaller than the others.
        batch: Videos of a step, over all devices. With `questions="all"`, each video gives an example for
            each option.
        lr: The highest learning rate of the run.
        optimizer: "sgd", or "adamw" (ours), which gets small networks and short runs further.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of either optimizer.
        schedule: The course of the learning rate after the warm-up: "constant", or "cosine" down to 0.
        warmup_epochs: Epochs over which the learning rate rises to `lr`.
        holdout_videos: About how many training videos are held out to choose the best epoch. Whole groups
            are held out.
        holdout_most: The largest share of the training videos that may be held out.
        augment: The changes to a clip from epoch to epoch. "crop", as in the papers, moves the crop. "jitter"
            (ours) also changes colours and mirrors clips.
        seed: The seed of everything random.
        validate_every: Epochs from one validation to the next. A validation tests the held-out videos.
        patience: Training ends after this many validations without a better one. 0 never ends it early.
    """

    epochs: int = 300
    batch: int = 8
    lr: float = 0.01
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = "constant"
    warmup_epochs: int = 0
    holdout_videos: int = 800
    holdout_most: float = 0.125
    augment: Augment = "crop"
    seed: int = 0
    validate_every: int = 1
    patience: int = 0


FINETUNING = TrainingNumbers(  # PROTOCOL 4
    epochs=150,
    lr=1e-3,
    holdout_most=0.112,  # 400 of HMDB51's 3,570 training videos; UCF101's 800 are a share of 0.084
)
