"""Recognition by finetuning (PROTOCOL 4): train all of a checkpoint's network, then test the best epoch.

Legend: M clips, N videos, A classes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from vcp_core.backbones import build
from vcp_core.backbones.base import Backbone
from vcp_core.benchmarks.recognition import ranked_classes, training_sizes
from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.leaks import declaration
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.checkpoints import load_checkpoint
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.evaluation.machine import blas_threads, describe_device, versions
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.pretraining.config import FinetuneConfig, option_of
from vcp_core.pretraining.devices import reproducible, summed
from vcp_core.pretraining.loop import Trainer
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.runs import Best, name_of
from vcp_core.pretraining.start import Machine, Run, Trained, Watcher, precheck
from vcp_core.pretraining.tasks import RecognitionTask
from vcp_core.results.types import Predictions, Results
from vcp_core.scoring.scores import score_benchmark

RESULTS, CONTROL = "recognition.json", "control"  # in a run's folder
AGAIN = "again"  # name of the output folder in the command that repeats the run


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A finetuned network and its scores on the test side.

    Attributes:
        trained: The run. Its best checkpoint contains the linear layer, too.
        results: Scores with intervals, the predictions behind them, and their provenance.
    """

    trained: Trained
    results: Results


def finetune(
    checkpoint: str | Path,
    dataset: str | Path | Dataset,
    out: Path,
    config: FinetuneConfig,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    control: bool = False,
    pretrained_on: str | None = None,
    run: str | None = None,
    machine: Machine | None = None,
    watcher: Watcher | None = None,
) -> Finetuned:
    """Finetune a checkpoint on the training side, and test the best epoch.

    After an interruption the same call goes on from the last saved state.

    Args:
        checkpoint: A weights file. Only the sandbox opens it.
        dataset: A name, a folder, or the result of `load_dataset`.
        out: Folder of the run. The results are written to `recognition.json` in it.
        config: The numbers of the run.
        backbone: The checkpoint's architecture. If left out, it is recognised from the weights.
        prefix: Prefix of the network's keys if the file holds several networks; the one trained by gradients
            if left out.
        variant: The form of the network, if no tensor shows it (`vcp_core.catalog.variants`).
        input_spec: The clips that the network takes, if not its family's own (`vcp_core.catalog.inputs`).
        control: Whether to train the same backbone from random weights as well, with the same numbers, in the
            subfolder `control`. The lift is the difference from its scores.
        pretrained_on: The checkpoint's training data, such as "ucf101:1"; the data that its header declares
            if left out. The results warn if it contains test videos.
        run: The run's name; the folder's name if left out.
        machine: The resources of the run.
        watcher: Receives the progress.

    Raises:
        VcpbenchError: If the run cannot be trained as asked.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once the state is saved.
    """
    machine = machine or Machine()
    precheck(out, config, machine)
    network, report = load_checkpoint(
        checkpoint, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
    )
    if report.graph is not None:
        raise TrainingError(
            "A .pt2 file holds a network for forward passes alone: in training mode it would be another "
            "program. Evaluate it with `vcpbench local`, or finetune the weights of a known backbone."
        )
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    begun = _Finetuning(loaded, config, machine, watcher)
    origin = {
        "backbone": report.backbone,
        "checkpoint": report.sha256,
        "prefix": report.prefix,
        "input_spec": input_of(network.spec),
        **({"variant": variant} if variant else {}),  # older runs, which have none, can go on
        # Without a declaration, the header's record of the training data is better than none.
        "pretrained_on": pretrained_on or (declaration(report.origin) if report.origin else None),
    }
    answered = begun.answer(network, out, run, origin)
    controls: dict[str, Predictions] = {}
    if control:
        untrained = build(network.spec, seed=config.seed)
        name = f"{name_of(out, run)}, {CONTROL}"
        beside = begun.answer(
            untrained, out / CONTROL, name, {**origin, "checkpoint": "random weights", "pretrained_on": None}
        )
        controls[str(config.seed)] = beside.predictions
    declared = {
        "--backbone": backbone,
        "--prefix": prefix,
        "--variant": variant,
        "--input-spec": input_spec,
        "--pretrained-on": origin["pretrained_on"],
    }
    results = begun.results(
        answered,
        controls,
        network.spec,
        report.as_dict(),
        pretrained_on=origin["pretrained_on"],
        reproduce=_command((checkpoint, loaded, config, control), declared),
    )
    if answered.first:
        results.save(out / RESULTS)
    return Finetuned(trained=answered.trained, results=results)


@dataclass(frozen=True)
class _Answered:
    """A finetuned network's answers for the test side. `first` says if this process writes the results."""

    trained: Trained
    predictions: Predictions
    device: str
    machine: dict[str, int]
    first: bool


@dataclass(frozen=True)
class _Finetuning:
    """The arguments that the runs of a checkpoint and of its control share."""

    dataset: Dataset
    config: FinetuneConfig
    machine: Machine
    watcher: Watcher | None

    def answer(
        self, network: Backbone, out: Path, run: str | None, origin: Mapping[str, str | None]
    ) -> _Answered:
        """Train the network, and predict the test side with the weights of the best epoch."""
        task = RecognitionTask(self.dataset, network.spec, self.config)
        begun = Run(self.dataset, out, self.config, run, self.machine, dict(origin))
        clips = ClipsNetwork(network, num_clips=1, num_answers=len(task.answers), seed=self.config.seed)
        trainer = begun.trainer(task, clips)
        trained = begun.train(trainer, self.watcher)
        # The conditions of the training: a finished run may be tested on another machine.
        trained_on = trainer.folder.conditions
        processes = trained_on["processes"]
        device = trained_on.get("device") or describe_device(trainer.fabric.device)
        threads = {name: trained_on[name] for name in ("network_threads",) if name in trained_on}
        return _Answered(
            trained=trained,
            predictions=self._test(trainer, task, trained),
            device=device if processes == 1 else f"{processes} x {device}",
            machine=threads | blas_threads(),
            first=trainer.fabric.is_global_zero,
        )

    def results(
        self,
        answered: _Answered,
        controls: Mapping[str, Predictions],
        spec: BackboneSpec,
        checkpoint: Mapping[str, object],
        *,
        pretrained_on: str | None,
        reproduce: str | None,
    ) -> Results:
        """Compute the scores, and join them with everything that determined them."""
        protocol = self.config.protocol()
        scored = score_benchmark(
            "recognition", answered.predictions, controls, unavailable=None, protocol=protocol
        )
        plan = EvaluationPlan(dataset=self.dataset, protocol=protocol, spec=spec, benchmarks=("recognition",))
        results = plan.results(
            (),  # no benchmarks yet: with them the plan would calibrate random weights for frozen features
            checkpoint=checkpoint,
            versions=versions(),
            device=answered.device,
            machine=answered.machine,
            pretrained_on=pretrained_on,
            warnings=answered.trained.notes,
            reproduce=reproduce,
        )
        tested = len(self.dataset.side("test")) * self.config.num_clips
        provenance = results.provenance.model_copy(update={"num_clips": tested})
        return results.model_copy(update={"benchmarks": (scored,), "provenance": provenance})

    def _test(self, trainer: Trainer, task: RecognitionTask, trained: Trained) -> Predictions:
        """Predict with the weights of the best epoch: the mean softmax over a video's grid clips."""
        trainer.network.load_exported(safetensors.torch.load_file(trained.best))
        videos = self.dataset.side("test")
        examples = task.grid(videos, self.config.num_clips)
        logits_MA = torch.zeros((len(examples), len(task.answers)), dtype=torch.float64)
        rank, world = trainer.fabric.global_rank, trainer.fabric.world_size
        with reproducible():
            mine = [logits_BA.double().cpu() for _, logits_BA in trainer.answer(examples)]
        if mine:
            # The rows of other processes stay 0, so the sum below joins all rows.
            logits_MA[rank::world] = torch.cat(mine)
        logits_MA = summed(logits_MA, trainer.fabric)
        clip_span = trainer.network.backbone.spec.clip_span
        return _predictions(logits_MA, self.dataset, clip_span, trained.progress.best)


def _predictions(logits_MA: Tensor, dataset: Dataset, clip_span: int, best: Best | None) -> Predictions:
    videos, classes = dataset.side("test"), dataset.classes
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
        facts={
            "looped": sum(video.num_frames < clip_span for video in videos),
            "training": training_sizes(dataset),
            "best": vars(best) if best else None,
        },
    )


def _command(
    what: tuple[str | Path, Dataset, FinetuneConfig, bool], options: dict[str, str | None]
) -> str | None:
    """The command that repeats the run; None if only Python can give its dataset or numbers."""
    checkpoint, dataset, config, control = what
    usual = FinetuneConfig()
    changed = {
        option_of(field.name): str(getattr(config, field.name))
        for field in fields(config)
        if getattr(config, field.name) != getattr(usual, field.name)
    }
    if not dataset.source or None in changed:
        return None
    words = ["vcpbench", "finetune", str(checkpoint), "--dataset", *dataset.source, "--out", AGAIN]
    words += ["--control"] if control else []
    for option, value in [*changed.items(), *options.items()]:
        words += [option, value] if option and value is not None else []
    return shlex.join(words)
