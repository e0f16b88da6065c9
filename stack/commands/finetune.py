"""`vcpbench finetune`: recognition by training all of a checkpoint's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stack.commands import training
from stack.commands.common import (
    CsvOption,
    DatasetOption,
    InputOption,
    ListsOption,
    PrefixOption,
    SplitOption,
    TestGroupsOption,
    console,
    load,
    plainly,
)


@plainly
def finetune(
    file: Annotated[Path, typer.Argument(help="The checkpoint: .pt, .pth, .tar, .ckpt or .safetensors.")],
    out: training.OutOption,
    dataset: DatasetOption = "playground",
    backbone: Annotated[
        str | None, typer.Option(help="Its architecture; found by itself if left out.")
    ] = None,
    prefix: PrefixOption = None,
    input_spec: InputOption = None,
    run: training.RunOption = None,
    epochs: Annotated[int, typer.Option(help="Each shows every training video once.")] = 150,
    batch: training.BatchOption = 8,
    lr: training.LrOption = 1e-3,
    optimizer: training.OptimizerOption = "sgd",
    schedule: training.ScheduleOption = "constant",
    warmup: training.WarmupOption = 0,
    augment: training.AugmentOption = "crop",
    seed: training.SeedOption = 0,
    precision: training.PrecisionOption = "fp32",
    holdout: training.HoldoutOption = 800,
    validate_every: training.ValidateOption = 1,
    export_every: training.ExportOption = 10,
    save_steps: training.SaveOption = 200,
    patience: training.PatienceOption = 0,
    num_clips: Annotated[int, typer.Option(help="Grid clips of a test video.")] = 10,
    device: training.DeviceOption = None,
    frames_gb: training.FramesOption = 8.0,
    split: SplitOption = "1",
    csv: CsvOption = None,
    test_groups: TestGroupsOption = None,
    lists: ListsOption = None,
) -> None:
    """Finetune a checkpoint for recognition and test its best epoch: scores with 95 % intervals.

    **Examples**

    `vcpbench finetune model.pt --dataset ucf101:/data/UCF101 --out runs/ucf101-1`

    `vcpbench finetune model.pt --dataset hmdb51:/data/HMDB51 --split 2 --holdout 400 --out runs/hmdb51-2`
    """
    from vcp_core import pretraining

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
    with training.watched(config) as (tell, watcher):
        loaded = load(dataset, split=split, csv=csv, test_groups=test_groups, lists=lists, tell=tell)
        finetuned = pretraining.finetune(
            file,
            loaded,
            out,
            config,
            backbone=backbone,
            prefix=prefix,
            input_spec=input_spec,
            run=run,
            machine=machine,
            watcher=watcher,
        )
    for score in finetuned.result.scores:
        console.print(
            f"{score.metric:<32} {score.value:5.1f}  ({score.low:.1f} .. {score.high:.1f})", highlight=False
        )
    console.print(str(finetuned.trained.best), highlight=False, markup=False, soft_wrap=True)
