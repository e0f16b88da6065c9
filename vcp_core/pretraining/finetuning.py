"""Recognition by finetuning (PROTOCOL 4): train all of a checkpoint's network, then test the best of it.

Legend: M clips, N videos, A classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from vcp_core.benchmarks.recognition import ranked_classes
from vcp_core.catalog.files import write_json
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.checkpoints import load_checkpoint
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.datasets.manifest import Video
from vcp_core.pretraining.config import FinetuneConfig
from vcp_core.pretraining.devices import reproducible, summed
from vcp_core.pretraining.loop import Trainer
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.start import Machine, Run, Trained, Watcher
from vcp_core.pretraining.tasks import RecognitionTask
from vcp_core.results import BenchmarkResult, Predictions
from vcp_core.scoring import score_benchmark


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A finetuned network and what it scores on the test side.

    Attributes:
        trained: The run; its best checkpoint holds the classes' linear layer, too.
        result: Scores with intervals, and the predictions behind them.
    """

    trained: Trained
    result: BenchmarkResult


def finetune(
    checkpoint: str | Path,
    dataset: str | Path | Dataset,
    out: Path,
    config: FinetuneConfig,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    input_spec: str | None = None,
    run: str | None = None,
    machine: Machine | None = None,
    watcher: Watcher | None = None,
) -> Finetuned:
    """Finetune a checkpoint on the training side, and test the best epoch; call again to go on.

    Args:
        checkpoint: A weights file; opened only in the sandbox.
        dataset: A name, a folder, or what `load_dataset` gave.
        out: Folder of the run; `recognition.json` in it gets the scores.
        config: Its numbers.
        backbone: The checkpoint's architecture; found by itself if left out.
        prefix: Which of several networks in the file; the one trained by gradients if left out.
        input_spec: What it takes in where that is not its family's own (`vcp_core.catalog.inputs`).
        run: The run's name; the folder's if left out.
        machine: What it may use.
        watcher: Who is told how it goes.

    Raises:
        VcpbenchError: For everything that cannot be trained as asked.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when the state is saved.
    """
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    network, report = load_checkpoint(checkpoint, backbone=backbone, prefix=prefix, input_spec=input_spec)
    task = RecognitionTask(loaded, network.spec, config)
    origin = {
        "backbone": report.backbone,
        "checkpoint": report.sha256,
        "prefix": report.prefix,
        "input_spec": input_of(network.spec),
    }
    begun = Run(loaded, out, config, run, machine or Machine(), origin)
    clips = ClipsNetwork(network, num_clips=1, num_answers=len(task.answers), seed=config.seed)
    trainer = begun.trainer(task, clips)
    trained = begun.train(trainer, watcher)
    result = _test(trainer, task, loaded, trained.best, config)
    if trainer.fabric.is_global_zero:
        said = {"run": begun.facts(trainer), "best": vars(trained.place.best), "notes": trained.notes}
        write_json(out / "recognition.json", {**said, "result": result.model_dump(mode="json")})
    return Finetuned(trained=trained, result=result)


def _test(
    trainer: Trainer, task: RecognitionTask, dataset: Dataset, best: Path, config: FinetuneConfig
) -> BenchmarkResult:
    """The best epoch's answers for the test side: the mean of the softmax over grid clips."""
    tensors = safetensors.torch.load_file(best)
    trainer.network.load_exported(tensors)
    videos = dataset.side("test")
    examples = task.grid(videos, config.num_clips)
    logits_MA = torch.zeros((len(examples), len(task.answers)), dtype=torch.float64)
    rank, world = trainer.fabric.global_rank, trainer.fabric.world_size
    with reproducible():
        mine = [logits_BA.double().cpu() for _, logits_BA in trainer.answer(examples)]
    if mine:
        logits_MA[rank::world] = torch.cat(mine)
    logits_MA = summed(logits_MA, trainer.fabric)
    predictions = _predictions(logits_MA, videos, task.answers, trainer.network.backbone.spec.clip_span)
    return score_benchmark(
        "recognition", predictions, {}, unavailable=None, protocol=PROTOCOLS["standard-v1"]
    )


def _predictions(
    logits_MA: Tensor, videos: Sequence[Video], classes: tuple[str, ...], clip_span: int
) -> Predictions:
    scores_NA = logits_MA.softmax(dim=1).reshape(len(videos), -1, len(classes)).mean(dim=1)
    return Predictions(
        benchmark="recognition",
        answers=classes,
        columns={
            "video": [video.id for video in videos],
            "group": [video.group for video in videos],
            "label": [video.label for video in videos],
            "finetune": ranked_classes(scores_NA.numpy(), classes),
        },
        facts={"looped": sum(video.num_frames < clip_span for video in videos)},
    )
