"""`vcpbench pretrain`: train a backbone by Video Cloze Procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stack.commands import training
from stack.commands.common import (
    CsvOption,
    DatasetOption,
    ListsOption,
    SplitOption,
    SuffixOption,
    TestGroupsOption,
    console,
    plainly,
)
from vcp_core.pretraining.config import PretrainConfig

if TYPE_CHECKING:
    from vcp_core.pretraining import Trained

DEFAULTS = PretrainConfig()


@plainly
def pretrain(
    out: training.OutOption,
    dataset: DatasetOption = "playground",
    backbone: Annotated[
        str, typer.Option(help="r3d_tiny, r3d, r2plus1d, c3d, r3d_18, ...")
    ] = DEFAULTS.backbone,
    run: training.RunOption = None,
    epochs: training.EpochsOption = DEFAULTS.epochs,
    batch: training.BatchOption = DEFAULTS.batch,
    lr: training.LrOption = DEFAULTS.lr,
    optimizer: training.OptimizerOption = DEFAULTS.optimizer,
    schedule: training.ScheduleOption = DEFAULTS.schedule,
    warmup: training.WarmupOption = DEFAULTS.warmup_epochs,
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
    holdout: training.HoldoutOption = DEFAULTS.holdout_videos,
    validate_every: training.ValidateOption = DEFAULTS.validate_every,
    export_every: training.ExportOption = DEFAULTS.export_every,
    save_steps: training.SaveOption = DEFAULTS.save_steps,
    patience: training.PatienceOption = DEFAULTS.patience,
    device: training.DeviceOption = None,
    frames_gb: training.FramesOption = 8.0,
    split: SplitOption = "1",
    csv: CsvOption = None,
    test_groups: TestGroupsOption = None,
    suffix: SuffixOption = None,
    lists: ListsOption = None,
) -> None:
    """Train a backbone by Video Cloze Procedure. Its checkpoints can be uploaded as they are.

    The network learns to say which operation was applied to a withheld clip.

    **Examples**

    `vcpbench pretrain --backbone r3d --dataset ucf101:/data/UCF101 --out runs/r3d`

    `vcpbench pretrain --backbone r3d_tiny --dataset playground --out runs/tiny`

    `torchrun --nproc-per-node 4 --no-python vcpbench pretrain --dataset ucf101:/data/UCF101 --out runs/r3d`
    """
    from vcp_core import pretraining

    config = pretraining.PretrainConfig(
        backbone=backbone,
        epochs=epochs,
        batch=batch,
        lr=lr,
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
        warmup_epochs=warmup,
        head=head,  # type: ignore[arg-type]
        questions=questions,  # type: ignore[arg-type]
        options=tuple(name.strip() for name in options.split(",")),
        augment=augment,  # type: ignore[arg-type]
        gap=gap,
        remote_gap=remote_gap,
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
        holdout_videos=holdout,
        validate_every=validate_every,
        export_every=export_every,
        save_steps=save_steps,
        patience=patience,
    )
    machine = training.machine(device, frames_gb)
    pretraining.precheck(out, config, machine)
    loaded = training.load_once(
        dataset, split=split, csv=csv, test_groups=test_groups, suffixes=suffix, lists=lists
    )
    with training.watched(config) as watcher:
        trained = pretraining.pretrain(loaded, out, config, run=run, machine=machine, watcher=watcher)
    if training.is_first():
        console.print(_said(trained), highlight=False, markup=False, soft_wrap=True)


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
