"""What `vcpbench pretrain` and `vcpbench finetune` share: options, and how a run is watched."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack

import typer

from stack.commands.common import load, messages, progress_bars
from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.paths import cache_dir

if TYPE_CHECKING:
    from stack.commands.common import Tell
    from stack.commands.options import DatasetFiles
    from vcp_core.datasets import Dataset
    from vcp_core.pretraining import Machine
    from vcp_core.pretraining.runs import RunProgress

OutOption = Annotated[
    Path, typer.Option("--out", "-o", help="Folder of the run; the same command goes on with it.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Name that its checkpoints carry; the folder's if left out.")
]
EpochsOption = Annotated[
    int, typer.Option(help="Each shows every training video once; a last, smaller batch is left out.")
]
BatchOption = Annotated[int, typer.Option(help="Videos of a step, over all devices.")]
LrOption = Annotated[float, typer.Option(help="Learning rate.")]
OptimizerOption = Annotated[str, typer.Option(help="sgd, as in the papers, or adamw.")]
ScheduleOption = Annotated[str, typer.Option(help="constant, or cosine down to 0.")]
WarmupOption = Annotated[int, typer.Option("--warmup", help="Epochs over which the learning rate rises.")]
AugmentOption = Annotated[
    str, typer.Option(help="crop: random places in the frame; jitter: colours and sides vary, too.")
]
SeedOption = Annotated[int, typer.Option(help="Of everything random.")]
PrecisionOption = Annotated[str, typer.Option(help="fp32, or bf16 (mixed; GPUs only).")]
HoldoutOption = Annotated[
    int,
    typer.Option(
        "--holdout",
        help="Training videos held out to choose the best epoch; an eighth at most (finetune: 0.112).",
    ),
]
ValidateOption = Annotated[int, typer.Option(help="Epochs between looks at the held-out videos.")]
ExportOption = Annotated[int, typer.Option(help="Epochs between checkpoints.")]
SaveOption = Annotated[int, typer.Option(help="Steps between saved states within an epoch.")]
PatienceOption = Annotated[
    int, typer.Option(help="Looks at the held-out videos without a better one before it ends; 0: never.")
]
FramesOption = Annotated[float, typer.Option(help="Decoded frames kept in the cache folder, in GB at most.")]


class Optimisation(TypedDict):
    """How the weights move; arguments of `TrainingConfig`."""

    epochs: EpochsOption
    batch: BatchOption
    lr: LrOption
    optimizer: OptimizerOption
    schedule: ScheduleOption
    warmup_epochs: WarmupOption


class Validation(TypedDict):
    """When a run looks at held-out videos, exports, saves and ends; arguments of `TrainingConfig`."""

    holdout_videos: HoldoutOption
    validate_every: ValidateOption
    export_every: ExportOption
    save_steps: SaveOption
    patience: PatienceOption


def machine(device: str | None, frames_gb: float) -> Machine:
    """What a run may use, from its options.

    Raises:
        TrainingError: If the frames' limit is no number of bytes.
    """
    from vcp_core.pretraining import Machine

    if not 0 <= frames_gb < math.inf:
        raise TrainingError(f"--frames-gb must be at least 0 and finite, got {frames_gb:g}.")
    return Machine(device=device, frames_limit_bytes=int(frames_gb * 1e9))


def is_first() -> bool:
    """Whether this process is the only one, or the first of torchrun's."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def taking_turns() -> Iterator[None]:
    """One of torchrun's processes after the other: the first decodes what the others then find in the cache.

    By a lock beside the cache, since each machine of several has a cache of its own, and there is no process
    group before the dataset is there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "turns.lock").open("w") as turns:
        fcntl.flock(turns, fcntl.LOCK_EX)
        yield


def load_once(dataset: str, *, split: str, **files: Unpack[DatasetFiles]) -> Dataset:
    """The dataset; whichever process has to decode it shows how far it is."""
    with taking_turns(), progress_bars() as tell:
        return load(dataset, split=split, tell=tell, **files)


@contextmanager
def watched(config: Any) -> Iterator[Watched]:
    """Bars and lines of a run on standard error; only the first of several processes shows them."""
    with progress_bars(quiet=not is_first()) as tell:
        yield Watched(tell, config.epochs)


class Running:
    """A mean that forgets what is long past: a step's own loss jumps too much to be read.

    >>> loss = Running()
    >>> [round(loss.after(value), 3) for value in (2.0, 2.0, 1.0)]
    [2.0, 2.0, 1.649]
    """

    def __init__(self, kept: float = 0.95) -> None:
        self._kept = kept  # of the mean, at each step
        self._sum = self._weight = 0.0

    def after(self, value: float) -> float:
        """The mean with one value more."""
        self._sum = self._kept * self._sum + value
        self._weight = self._kept * self._weight + 1
        return self._sum / self._weight


class Watched:
    """A bar with the time left and the loss, and a line for every epoch."""

    def __init__(self, tell: Tell, num_epochs: int) -> None:
        self._tell, self._num_epochs = tell, num_epochs
        self._bar, self._loss = "", Running()

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Say which run it is, what is left out, and where it goes on."""
        self._bar, self._loss = f"training {run}", Running()
        messages.print(f"Training {run}.", highlight=False, markup=False)
        for note in notes:
            messages.print(f"! {note}", style="yellow", highlight=False, markup=False)
        if progress.finished:
            messages.print("This run is finished; nothing is left to train.")
        elif progress.step:
            messages.print(
                f"Going on after step {progress.step}, in epoch {progress.epoch + 1}.", highlight=False
            )

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Move the bar, and say the loss beside it."""
        self._tell(self._bar, done, total, f"loss {self._loss.after(loss):.3f}")

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Say how an epoch went."""
        line = f"epoch {row['epoch']}/{self._num_epochs}  {_said(row)}"
        held_out = row.get("held_out")
        if held_out:
            line += f"  | held out: {_said(held_out)}{'  best' if held_out['best'] else ''}"
        messages.print(line, highlight=False, markup=False, soft_wrap=True)


def _said(values: dict[str, Any]) -> str:
    of = values["accuracy_of"]
    each = "" if len(of) > 5 else f" ({', '.join(f'{name} {percent:.0f}' for name, percent in of.items())})"
    return f"loss {values['loss']:.3f}  accuracy {values['accuracy']:.1f} %{each}"
