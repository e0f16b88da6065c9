"""`vcpbench finetune`: recognition by training all weights of a checkpoint's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from vcpbench_client.commands.options import option_groups

from stack.commands import options, training
from stack.commands.common import console, plainly, split_names
from stack.commands.local import show, show_mean
from vcp_core.pretraining.config import FinetuneConfig

if TYPE_CHECKING:
    from vcp_core.pretraining import Finetuned
    from vcp_core.results.types import Results

DEFAULTS = FinetuneConfig()


@plainly
@option_groups(DEFAULTS)
def finetune(
    file: options.CheckpointArgument,
    out: training.OutOption,
    *,
    dataset: options.DatasetOption = "playground",
    network: options.Network,
    run: training.RunOption = None,
    optimisation: training.Optimisation,
    augment: training.AugmentOption = DEFAULTS.augment,
    seed: training.SeedOption = DEFAULTS.seed,
    precision: training.PrecisionOption = DEFAULTS.precision,
    validation: training.Validation,
    num_clips: Annotated[
        int, typer.Option(help="Clips of each test video, evenly spaced.")
    ] = DEFAULTS.num_clips,
    control: Annotated[
        bool, typer.Option("--control", help="Finetune random weights, too, and report the lift over them.")
    ] = False,
    pretrained_on: options.PretrainedOnOption = None,
    device: options.DeviceOption = None,
    frames_gb: training.FramesOption = 8.0,
    split: options.SplitsOption = "1",
    files: options.DatasetFiles,
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
        augment=augment,  # type: ignore[arg-type]
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
        num_clips=num_clips,
        **optimisation,  # type: ignore[arg-type]
        **validation,
    )
    machine = training.machine(device, frames_gb)
    pretraining.precheck(out, config, machine)
    checkpoints.precheck(
        file,
        backbone=network["backbone"],
        variant=network["variant"],
        input_spec=network["input_spec"],
    )
    runs: list[Finetuned] = []
    for name, folder, run_name in _each(split, out, run):
        loaded = training.load_once(dataset, split=name, **files)
        with training.watched(config) as watcher:
            one = pretraining.finetune(
                file,
                loaded,
                folder,
                config,
                control=control,
                pretrained_on=pretrained_on,
                run=run_name,
                machine=machine,
                watcher=watcher,
                **network,
            )
        runs.append(one)
    if training.is_first():
        _give([one.results for one in runs], out)
        for one in runs:
            console.print(str(one.trained.best), highlight=False, markup=False, soft_wrap=True)


def _each(split: str, out: Path, run: str | None) -> list[tuple[str, Path, str | None]]:
    """The name of each split, the folder of its run, and the name of its run."""
    names = split_names(split)
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
