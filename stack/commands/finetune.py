"""`vcpbench finetune`: recognition by training all weights of a checkpoint's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stack.commands import training
from stack.commands.common import (
    CsvOption,
    DatasetOption,
    InputOption,
    ListsOption,
    PrefixOption,
    PretrainedOnOption,
    SplitsOption,
    SuffixOption,
    TestGroupsOption,
    console,
    plainly,
)
from stack.commands.local import show, show_mean
from vcp_core.pretraining.config import FinetuneConfig

if TYPE_CHECKING:
    from vcp_core.pretraining import Finetuned
    from vcp_core.results.types import Results

DEFAULTS = FinetuneConfig()


@plainly
def finetune(
    file: Annotated[Path, typer.Argument(help="The checkpoint: .pt, .pth, .tar, .ckpt or .safetensors.")],
    out: training.OutOption,
    dataset: DatasetOption = "playground",
    backbone: Annotated[
        str | None, typer.Option(help="Architecture; recognised from the file if left out.")
    ] = None,
    prefix: PrefixOption = None,
    input_spec: InputOption = None,
    run: training.RunOption = None,
    epochs: training.EpochsOption = DEFAULTS.epochs,
    batch: training.BatchOption = DEFAULTS.batch,
    lr: training.LrOption = DEFAULTS.lr,
    optimizer: training.OptimizerOption = DEFAULTS.optimizer,
    schedule: training.ScheduleOption = DEFAULTS.schedule,
    warmup: training.WarmupOption = DEFAULTS.warmup_epochs,
    augment: training.AugmentOption = DEFAULTS.augment,
    seed: training.SeedOption = DEFAULTS.seed,
    precision: training.PrecisionOption = DEFAULTS.precision,
    holdout: training.HoldoutOption = DEFAULTS.holdout_videos,
    validate_every: training.ValidateOption = DEFAULTS.validate_every,
    export_every: training.ExportOption = DEFAULTS.export_every,
    save_steps: training.SaveOption = DEFAULTS.save_steps,
    patience: training.PatienceOption = DEFAULTS.patience,
    num_clips: Annotated[
        int, typer.Option(help="Clips of each test video, evenly spaced.")
    ] = DEFAULTS.num_clips,
    control: Annotated[
        bool, typer.Option("--control", help="Finetune random weights, too, and report the lift over them.")
    ] = False,
    pretrained_on: PretrainedOnOption = None,
    device: training.DeviceOption = None,
    frames_gb: training.FramesOption = 8.0,
    split: SplitsOption = "1",
    csv: CsvOption = None,
    test_groups: TestGroupsOption = None,
    suffix: SuffixOption = None,
    lists: ListsOption = None,
) -> None:
    """Finetune a checkpoint for recognition, and test its best epoch. Scores have 95 % intervals.

    The results are in recognition.json of the run's folder. For several splits, this file has the mean, and
    each split has a folder of its own.

    **Examples**

    `vcpbench finetune model.pt --dataset ucf101:/data/UCF101 --out runs/ucf101-1 --control`

    `vcpbench finetune model.pt --dataset ucf101:/data/UCF101 --split 1,2,3 --out runs/ucf101`

    `vcpbench finetune model.pt --dataset hmdb51:/data/HMDB51 --split 2 --out runs/hmdb51-2`
    """
    from vcp_core import checkpoints, pretraining

    config = pretraining.FinetuneConfig(
        epochs=epochs,
        batch=batch,
        lr=lr,
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
        warmup_epochs=warmup,
        augment=augment,  # type: ignore[arg-type]
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
        holdout_videos=holdout,
        validate_every=validate_every,
        export_every=export_every,
        save_steps=save_steps,
        patience=patience,
        num_clips=num_clips,
    )
    machine = training.machine(device, frames_gb)
    pretraining.precheck(out, config, machine)
    checkpoints.precheck(file, backbone=backbone, input_spec=input_spec)
    runs: list[Finetuned] = []
    for name, folder, run_name in _each(split, out, run):
        loaded = training.load_once(
            dataset, split=name, csv=csv, test_groups=test_groups, suffixes=suffix, lists=lists
        )
        with training.watched(config) as watcher:
            one = pretraining.finetune(
                file,
                loaded,
                folder,
                config,
                backbone=backbone,
                prefix=prefix,
                input_spec=input_spec,
                control=control,
                pretrained_on=pretrained_on,
                run=run_name,
                machine=machine,
                watcher=watcher,
            )
        runs.append(one)
    if training.is_first():
        _give([one.results for one in runs], out)
        for one in runs:
            console.print(str(one.trained.best), highlight=False, markup=False, soft_wrap=True)


def _each(split: str, out: Path, run: str | None) -> list[tuple[str, Path, str | None]]:
    """The name of each split, the folder of its run, and the name of its run."""
    names = list(dict.fromkeys(name.strip() for name in split.split(",")))
    if len(names) == 1:
        return [(names[0], out, run)]
    return [(name, out / f"split-{name}", f"{run or out.absolute().name}, split {name}") for name in names]


def _give(runs: list[Results], out: Path) -> None:
    """Print the scores of one split, or write and print the mean of several."""
    from vcp_core.pretraining.finetuning import RESULTS
    from vcp_core.scoring.splits import mean_of_splits

    if len(runs) == 1:
        show(runs[0], every=True)
        return
    mean = mean_of_splits(runs)
    mean.save(out / RESULTS)
    show_mean(mean)
