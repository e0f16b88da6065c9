"""`vcpbench pretrain`: train a backbone by Video Cloze Procedure."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from vcpbench_client.commands.options import option_groups

from stack.commands import options, training
from stack.commands.common import console, messages, plainly
from vcp_core.pretraining.config import PretrainConfig

if TYPE_CHECKING:
    from vcp_core.pretraining import Trained

DEFAULTS = PretrainConfig()


@plainly
@option_groups(DEFAULTS)
def pretrain(
    out: training.OutOption,
    *,
    dataset: options.DatasetOption = "playground",
    backbone: Annotated[
        str, typer.Option(help="r3d_tiny, r3d, r2plus1d, c3d, r3d_18, ...")
    ] = DEFAULTS.backbone,
    run: training.RunOption = None,
    optimisation: training.Optimisation,
    head: Annotated[
        str, typer.Option(help="concat: the clips' features; relational: their differences, too.")
    ] = DEFAULTS.head,
    questions: Annotated[
        str, typer.Option(help="one: a random option of each tuple, as in the paper; all: every option.")
    ] = DEFAULTS.questions,
    options: Annotated[
        str, typer.Option(help="Options to tell apart, separated by commas; 'original' is one of them.")
    ] = ",".join(DEFAULTS.options),
    augment: training.AugmentOption = DEFAULTS.augment,
    gap: Annotated[int, typer.Option(help="Frames between the clips of a tuple.")] = DEFAULTS.gap,
    remote_gap: Annotated[
        int, typer.Option(help="Frames at least between a tuple and a remote clip.")
    ] = DEFAULTS.remote_gap,
    seed: training.SeedOption = DEFAULTS.seed,
    precision: training.PrecisionOption = DEFAULTS.precision,
    validation: training.Validation,
    device: options.DeviceOption = None,
    frames_gb: training.FramesOption = 8.0,
    split: options.SplitOption = "1",
    files: options.DatasetFiles,
) -> None:
    """Train a backbone by Video Cloze Procedure. Its checkpoints can be uploaded as they are.

    The network learns to say which operation was applied to a withheld clip.

    **Examples**

    `vcpbench pretrain --backbone r3d --dataset ucf101:/data/UCF101 --out runs/r3d`

    `vcpbench pretrain --backbone r3d_tiny --dataset playground --out runs/tiny`

    `torchrun --nproc-per-node 4 --no-python vcpbench pretrain --dataset ucf101:/data/UCF101 --out runs/r3d`
    """
    from vcp_core import pretraining
    from vcp_core.pretraining.runs import name_of

    config = pretraining.PretrainConfig(
        backbone=backbone,
        head=head,  # type: ignore[arg-type]
        questions=questions,  # type: ignore[arg-type]
        options=tuple(name.strip() for name in options.split(",")),
        augment=augment,  # type: ignore[arg-type]
        gap=gap,
        remote_gap=remote_gap,
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
        **optimisation,  # type: ignore[arg-type]
        **validation,
    )
    machine = training.machine(device, frames_gb)
    pretraining.precheck(out, config, machine)
    loaded = training.load_once(dataset, split=split, **files)
    with training.watched(config) as watcher:
        trained = pretraining.pretrain(loaded, out, config, run=run, machine=machine, watcher=watcher)
    if training.is_first():
        console.print(_said(trained), highlight=False, markup=False, soft_wrap=True)
        messages.print(shown_next(out, name_of(out, run)), highlight=False, markup=False, soft_wrap=True)


def _said(trained: Trained) -> str:
    """Name the best and the last checkpoint, and say when to compare them."""
    best, last = trained.progress.best, trained.progress.epoch
    assert best is not None
    lines = [
        f"Best on held-out videos: epoch {best.epoch}, loss {best.loss:.3f}, accuracy {best.accuracy:.1f} %",
        str(trained.best),
    ]
    if trained.last:
        lines += [f"Last: epoch {last}", str(trained.last)]
    if trained.last and best.epoch < last:
        lines.append(
            "If few videos are held out, the last checkpoint can transfer much better. Compare both on a "
            "dataset whose scores you do not report."
        )
    return "\n".join(lines)


def shown_next(out: Path, run: str) -> str:
    """Say how to see the run on a server: first its checkpoints, then its curves beside their scores."""
    checkpoints, log, name = (shlex.quote(str(word)) for word in (out / "checkpoints", out / "log.csv", run))
    return (
        "To see the scores of its checkpoints on a server, with the training loss below them:\n"
        f"vcpbench evaluate {checkpoints}/*.safetensors --model {name}\n"
        f"vcpbench log upload {log} --model {name} --run {name}"
    )
