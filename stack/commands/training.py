"""Shared by `vcpbench pretrain` and `vcpbench finetune`: options, and the display of a run."""

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
    Path, typer.Option("--out", "-o", help="Folder of the run. The same command resumes the run in it.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Name of the run. Default: the name of the folder.")
]
EpochsOption = Annotated[
    int,
    typer.Option(help="Number of epochs. Each shows all training videos once, except a smaller last batch."),
]
BatchOption = Annotated[int, typer.Option(help="Videos of one step, summed over all devices.")]
LrOption = Annotated[float, typer.Option(help="Learning rate.")]
OptimizerOption = Annotated[str, typer.Option(help="sgd, as in the papers, or adamw.")]
ScheduleOption = Annotated[str, typer.Option(help="constant, or cosine down to 0.")]
WarmupOption = Annotated[int, typer.Option("--warmup", help="Epochs over which the learning rate rises.")]
AugmentOption = Annotated[
    str, typer.Option(help="crop: random crops; jitter: random colours and mirroring, too.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of all random choices.")]
PrecisionOption = Annotated[str, typer.Option(help="fp32, or bf16 (mixed; GPUs only).")]
HoldoutOption = Annotated[
    int,
    typer.Option(
        "--holdout",
        help="Training videos held out to choose the best epoch; an eighth at most (finetune: 0.112).",
    ),
]
ValidateOption = Annotated[int, typer.Option(help="Epochs between tests on the held-out videos.")]
ExportOption = Annotated[int, typer.Option(help="Epochs between checkpoints.")]
SaveOption = Annotated[int, typer.Option(help="Steps between saved states within an epoch.")]
PatienceOption = Annotated[
    int,
    typer.Option(help="Stop early: tests on the held-out videos in a row without a lower loss; 0: never."),
]
FramesOption = Annotated[
    float, typer.Option(help="Largest size of the decoded frames in the cache folder, in GB.")
]


class Optimisation(TypedDict):
    """Options of the optimiser: arguments of `TrainingConfig`."""

    epochs: EpochsOption
    batch: BatchOption
    lr: LrOption
    optimizer: OptimizerOption
    schedule: ScheduleOption
    warmup_epochs: WarmupOption


class Validation(TypedDict):
    """Options that say when a run tests, exports, saves and ends: arguments of `TrainingConfig`."""

    holdout_videos: HoldoutOption
    validate_every: ValidateOption
    export_every: ExportOption
    save_steps: SaveOption
    patience: PatienceOption


def machine(device: str | None, frames_gb: float) -> Machine:
    """The device and the cache limit of a run, from its options.

    Raises:
        TrainingError: If `frames_gb` is negative or not finite.
    """
    from vcp_core.pretraining import Machine

    if not 0 <= frames_gb < math.inf:
        raise TrainingError(f"--frames-gb must be at least 0 and finite, got {frames_gb:g}.")
    return Machine(device=device, frames_limit_bytes=int(frames_gb * 1e9))


def is_first() -> bool:
    """Whether this is the only process, or the first process of torchrun."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def taking_turns() -> Iterator[None]:
    """Let the processes of torchrun run the block one after another.

    The first process of a machine decodes the dataset, and the others then find it in the cache. This uses a
    file lock beside the cache. A barrier of the process group would not do: each machine has its own cache,
    and no process group exists before the dataset is loaded.
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
    """Load the dataset. A process that has to decode it shows the progress."""
    with taking_turns(), progress_bars() as tell:
        return load(dataset, split=split, tell=tell, **files)


@contextmanager
def watched(config: Any) -> Iterator[Watched]:
    """Show a run on standard error, with a bar and a line for each epoch. Only the first process does."""
    with progress_bars(quiet=not is_first()) as tell:
        yield Watched(tell, config.epochs)


class Running:
    """An exponential moving average. The loss of a single step varies too much to be read.

    >>> loss = Running()
    >>> [round(loss.after(value), 3) for value in (2.0, 2.0, 1.0)]
    [2.0, 2.0, 1.649]
    """

    def __init__(self, kept: float = 0.95) -> None:
        self._kept = kept  # the weight of all values before, at each step
        self._sum = self._weight = 0.0

    def after(self, value: float) -> float:
        """Add a value, and return the new mean."""
        self._sum = self._kept * self._sum + value
        self._weight = self._kept * self._weight + 1
        return self._sum / self._weight


class Watched:
    """Shows a bar with the time left and the loss, and a line for each epoch."""

    def __init__(self, tell: Tell, num_epochs: int) -> None:
        self._tell, self._num_epochs = tell, num_epochs
        self._bar, self._loss = "", Running()

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Print the name of the run, its notes, and the step that it resumes at."""
        self._bar, self._loss = f"training {run}", Running()
        messages.print(f"Training {run}.", highlight=False, markup=False)
        for note in notes:
            messages.print(f"! {note}", style="yellow", highlight=False, markup=False)
        if progress.finished:
            messages.print("This run is already finished.")
        elif progress.step:
            messages.print(
                f"Resuming after step {progress.step}, in epoch {progress.epoch + 1}.", highlight=False
            )

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Move the bar, and show the loss beside it."""
        self._tell(self._bar, done, total, f"loss {self._loss.after(loss):.3f}")

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Print a line with the losses and accuracies of an epoch."""
        line = f"epoch {row['epoch']}/{self._num_epochs}  {_said(row)}"
        held_out = row.get("held_out")
        if held_out:
            line += f"  | held out: {_said(held_out)}{'  best' if held_out['best'] else ''}"
        messages.print(line, highlight=False, markup=False, soft_wrap=True)


def _said(values: dict[str, Any]) -> str:
    of = values["accuracy_of"]
    each = "" if len(of) > 5 else f" ({', '.join(f'{name} {percent:.0f}' for name, percent in of.items())})"
    return f"loss {values['loss']:.3f}  accuracy {values['accuracy']:.1f} %{each}"
