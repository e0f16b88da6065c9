"""The numbers that decide what a training run gives (PROTOCOL 7 and 4), once; cheap to import.

Configurations of runs, protocols and the commands' options take defaults, bounds and choices from here.
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

GRID_CLIPS = 10  # of a video, in recognition and retrieval; PROTOCOL 4
GAP = 8  # frames between the clips of a cloze tuple; PROTOCOL 3
REMOTE_GAP = 16  # frames at least between a tuple and a remote clip; PROTOCOL 3

CHOICES: dict[str, tuple[str, ...]] = {
    "head": get_args(Head),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "optimizer": get_args(Optimizer),
    "questions": get_args(Questions),
    "augment": get_args(Augment),
}
# By pydantic's names: ge at least, gt more than, le at most, lt less than.
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
    """Bounds as the rest of a sentence that begins "it must be".

    >>> in_words(BOUNDS["holdout_most"])
    'more than 0 and at most 0.5'
    """
    return " and ".join(f"{_WORDS[kind]} {bound:g}" for kind, bound in bounds.items())


def fits(value: float, bounds: Mapping[str, float]) -> bool:
    """Whether a number is finite and within its bounds.

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
    """What decides a run's weights. Defaults are pretraining's, PROTOCOL 7.

    Attributes:
        epochs: Each shows every training video once, but leaves out a last, smaller batch.
        batch: Videos of a step, over all devices; `questions="all"` makes an example for each option of each.
        lr: Learning rate, at its highest.
        optimizer: "sgd", or "adamw" (ours), which small networks and short runs get further with.
        momentum: Of SGD.
        weight_decay: Of either.
        schedule: How the learning rate goes on: "constant", or "cosine" down to 0.
        warmup_epochs: Over which it rises to `lr`.
        holdout_videos: Training videos held out to choose the best epoch, about; whole groups.
        holdout_most: The part of the training videos that this may be, at most.
        augment: What changes from epoch to epoch beside the clip: "crop", its place in the frame as in the
            papers, or "jitter" (ours), its colours and sides as well.
        seed: Of everything random.
        validate_every: Epochs between looks at the held-out videos.
        patience: Looks at the held-out videos without a better one after which training ends; 0 never.
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
    holdout_most=0.112,  # of the training videos: 400 of HMDB51's 3,570; UCF101's 800 are 0.084
)
