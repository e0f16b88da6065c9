"""The numbers of a training run (PROTOCOL 7 and 4), checked when they are made. No torch; cheap to import."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.options import PAPERS_OPTIONS, chosen_options
from vcp_core.catalog.training import (
    BOUNDS,
    CHOICES,
    FINETUNING,
    GAP,
    GRID_CLIPS,
    REMOTE_GAP,
    Head,
    Precision,
    Questions,
    TrainingNumbers,
    fits,
    in_words,
)

if TYPE_CHECKING:
    from vcp_core.catalog.protocols import Protocol

# The fields whose command-line option has another name. None: only Python can set the field.
_OPTIONS = {
    "warmup_epochs": "--warmup",
    "holdout_videos": "--holdout",
    "momentum": None,
    "weight_decay": None,
    "holdout_most": None,
}


def option_of(field: str) -> str | None:
    """The command-line option of a field of a configuration; None if there is no option.

    >>> option_of("save_steps"), option_of("holdout_videos"), option_of("momentum")
    ('--save-steps', '--holdout', None)
    """
    return _OPTIONS.get(field, f"--{field.replace('_', '-')}")


def _called(field: str) -> str:
    """The name of a field in error messages: its option, and the field's own name if that differs."""
    option = option_of(field)
    if option is None:
        return field
    return f"{option} ({field})" if field in _OPTIONS else option


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(TrainingNumbers):
    """The numbers that pretraining and finetuning share.

    Attributes:
        precision: "fp32" (TF32 stays off), or "bf16": mixed precision, with weights in float32.
        export_every: Number of epochs between exported checkpoints.
        save_steps: Number of steps between saved states, within an epoch.
    """

    precision: Precision = "fp32"
    export_every: int = 10
    save_steps: int = 200

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            bounds = BOUNDS.get(field.name)
            if bounds is not None and not (number and fits(value, bounds)):
                raise TrainingError(f"{_called(field.name)} must be {in_words(bounds)}, got {value!r}.")
            if field.name in CHOICES and value not in CHOICES[field.name]:
                raise TrainingError(
                    f"{_called(field.name)} must be one of {', '.join(CHOICES[field.name])}, got {value!r}."
                )
        if self.warmup_epochs >= self.epochs:
            raise TrainingError(
                f"{self.warmup_epochs} epochs of warm-up leave none of {self.epochs} to train."
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """The numbers of pretraining by Video Cloze Procedure.

    >>> PretrainConfig(backbone="r3d_tiny", epochs=2).options
    ('original', 'rotation', 'permutation', 'remote', 'adjacent')

    Attributes:
        backbone: The network to train, a name of the catalog.
        head: The input of the linear layer. "concat" is the three features, as in the paper. "relational"
            (ours) adds their absolute differences, as in the cloze benchmark.
        questions: The questions of a step about each video. "one" is one random option, as in the paper.
            "all" (ours) is one question for each option of one tuple; they differ only in the option.
        gap: Number of frames between the clips of a tuple.
        remote_gap: Smallest number of frames between a tuple and a remote clip.
        options: The answers, names of the catalog. They are sorted into the catalog's order.
    """

    backbone: str = "r3d"
    head: Head = "concat"
    questions: Questions = "one"
    gap: int = GAP
    remote_gap: int = REMOTE_GAP
    options: tuple[str, ...] = PAPERS_OPTIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        BACKBONES[self.backbone]
        try:
            object.__setattr__(self, "options", chosen_options(self.options))
        except ValueError as error:
            raise TrainingError(f"{_called('options')} {error}.") from error

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON. `options` is left out if they are the papers'.

        So runs that began before options could be chosen can go on, and their checkpoints keep their bytes.
        """
        values = super().as_dict()
        if self.options == PAPERS_OPTIONS:
            del values["options"]
        return values


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Recognition by finetuning; PROTOCOL 4.

    Attributes:
        num_clips: Number of grid clips of a test video.
    """

    epochs: int = FINETUNING.epochs
    lr: float = FINETUNING.lr
    holdout_most: float = FINETUNING.holdout_most
    num_clips: int = GRID_CLIPS

    @classmethod
    def of(cls, protocol: Protocol) -> FinetuneConfig:
        """Take the finetuning numbers of a protocol.

        Raises:
            TrainingError: If the protocol has none.
        """
        if protocol.finetune is None:
            raise TrainingError(f"Protocol {protocol.name} has no numbers for finetuning.")
        return cls(
            **protocol.finetune.model_dump(),
            precision=protocol.precision,
            num_clips=protocol.grid.num_clips,
        )

    def protocol(self) -> Protocol:
        """The protocol of these numbers: paper-v1 if they are equal to it, else one named "finetune"."""
        # Imported here: the commands take their defaults from this module, and pydantic would double the time
        # that `vcpbench --help` takes.
        from vcp_core.catalog.protocols import PROTOCOLS, FinetuneNumbers, GridNumbers

        papers = PROTOCOLS["paper-v1"]
        numbers = {name: getattr(self, name) for name in FinetuneNumbers.model_fields}
        mine = papers.model_copy(
            update={
                "precision": self.precision,
                "grid": GridNumbers(num_clips=self.num_clips),
                "finetune": FinetuneNumbers(**numbers),
            }
        )
        return papers if mine.hash == papers.hash else mine.model_copy(update={"name": "finetune"})


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0. A resumed run needs no earlier step to compute it.

    >>> learning_rate(TrainingConfig(epochs=10, lr=0.1), 99, 10)
    0.1
    >>> config = TrainingConfig(epochs=10, lr=0.1, schedule="cosine", warmup_epochs=1)
    >>> [round(learning_rate(config, step, 10), 3) for step in (0, 9, 10, 55, 99)]
    [0.01, 0.1, 0.1, 0.05, 0.0]
    """
    warmup, total = config.warmup_epochs * steps_per_epoch, config.epochs * steps_per_epoch
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
