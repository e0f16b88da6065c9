"""Evaluation in one process: from a checkpoint, a dataset and a protocol to results."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import ValidationError

from vcp_core.backbones.base import Backbone
from vcp_core.catalog import datasets
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.files import write_json
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.paths import cache_dir
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, load_protocol
from vcp_core.catalog.readings import reading_in_keys
from vcp_core.catalog.specs import PIXELS
from vcp_core.checkpoints import Loading, start_loading
from vcp_core.checkpoints import precheck as precheck_checkpoint
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.evaluation.machine import blas_threads, describe_device, describe_forward, pick_device, versions
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.running import (
    control_network,
    pixel_network,
    predictions_of,
    results_of,
    shard_features,
)
from vcp_core.evaluation.size import check_plan
from vcp_core.features.reading import Counters
from vcp_core.probes.rows import most_bytes
from vcp_core.progress import Progress, counting, shown
from vcp_core.results.types import Predictions, Results, Timings


def evaluate(
    checkpoint: str | Path,
    dataset: str | Path | Dataset,
    protocol: str | Path | Protocol = "standard-v1",
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    benchmarks: Sequence[str] = (),
    device: str | torch.device | None = None,
    controls: bool = True,
    pretrained_on: str | None = None,
    progress: Progress | bool = True,
) -> Results:
    """Run the benchmarks on a checkpoint's frozen features.

    Args:
        checkpoint: A weights file, or a program of torch.export (.pt2). Only the sandbox opens it.
        dataset: A name, a folder, or the result of `load_dataset`.
        protocol: A name, a TOML file, or a protocol.
        backbone: The architecture's name. If left out, it is recognised from the weights.
        prefix: Prefix of the network's keys if the file holds several networks, such as "teacher."; the one
            trained by gradients if left out.
        variant: The form of the network, if no tensor shows it: "tclr", "bgr" (`vcp_core.catalog.variants`).
        input_spec: The clips that the network takes, if they are not its family's own, such as
            "frames=8,stride=4,crop=224,..." (`vcp_core.catalog.inputs`). The controls take the same clips.
        benchmarks: Some of "cloze", "recognition", "retrieval"; all by default.
        device: "cpu", "cuda", ...; a GPU if there is one.
        controls: Whether to measure random weights and pixels as well. Their predictions are cached.
        pretrained_on: The checkpoint's training data, such as "ucf101:1" or "kinetics400". The results record
            it, and warn if it contains test videos.
        progress: Called with (stage, units done, units in all), such as ("forwarding clips", 8, 621). True
            shows one line in a terminal or a notebook, and nothing elsewhere. False shows nothing.

    Returns:
        Scores with intervals, predictions, warnings, provenance and timings.

    Raises:
        VcpbenchError: If an input cannot be evaluated. No file is left half-written.
    """
    since = time.perf_counter()
    checked = check_arguments(protocol, benchmarks, device)
    with (
        start_loading(
            checkpoint, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
        ) as loading,
        shown(progress) as tell,
    ):
        videos = dataset if isinstance(dataset, Dataset) else _load(dataset, loading.watching(tell))
        return evaluate_loading(
            loading, videos, checked, controls=controls, pretrained_on=pretrained_on, tell=tell, since=since
        )


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The checked arguments of `evaluate`.

    Attributes:
        protocol: The protocol as the caller gave it.
        numbers: The loaded protocol.
        benchmarks: Some of the benchmarks; all if empty.
        device: The device as the caller gave it.
        chosen_device: The device to run on.
    """

    protocol: str | Path | Protocol
    numbers: Protocol
    benchmarks: tuple[str, ...]
    device: str | torch.device | None
    chosen_device: torch.device


def check_arguments(
    protocol: str | Path | Protocol, benchmarks: Sequence[str], device: str | torch.device | None
) -> Checked:
    """Check the protocol, the benchmarks and the device.

    Raises:
        VcpbenchError: If a name is unknown, a file or device does not exist, or the limit of the probes'
            memory is not a number.

    >>> found = check_arguments("quick-v1", ["retrieval"], "cpu")
    >>> found.numbers.name, found.chosen_device
    ('quick-v1', device(type='cpu'))
    """
    most_bytes()
    numbers = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    for name in benchmarks:
        BENCHMARKS[name]
    return Checked(
        protocol=protocol,
        numbers=numbers,
        benchmarks=tuple(benchmarks),
        device=device,
        chosen_device=pick_device(device),
    )


def evaluate_loading(
    loading: Loading,
    dataset: Dataset,
    checked: Checked,
    *,
    controls: bool,
    pretrained_on: str | None,
    tell: Progress,
    since: float,
) -> Results:
    """Evaluate a checkpoint that a child process is reading.

    Args:
        loading: The result of `vcp_core.checkpoints.start_loading`. This call ends the child and deletes its
            files.
        dataset: The result of `load_dataset`.
        checked: The result of `check_arguments`.
        controls: As for `evaluate`.
        pretrained_on: As for `evaluate`.
        tell: Called with (stage, units done, units in all).
        since: When the evaluation began, by `time.perf_counter`.

    Raises:
        VcpbenchError: If an input cannot be evaluated.
    """
    numbers, benchmarks, chosen_device = checked.numbers, checked.benchmarks, checked.chosen_device
    tell("reading the checkpoint", 0, 1)
    network, report = loading.loaded()
    tell("reading the checkpoint", 1, 1)
    active = benchmarks or tuple(BENCHMARKS)
    plan = EvaluationPlan(dataset=dataset, protocol=numbers, spec=network.spec, benchmarks=active)
    check_plan(plan)
    run = _Run(plan, network, chosen_device, tell)
    predictions = run.predict(network)
    features_done = time.perf_counter()
    control_predictions = run.controls() if controls else {}
    pixels = run.pixels() if controls and numbers.control.pixels else None
    controls_done = time.perf_counter()
    how = (loading.path, dataset, checked.protocol, controls)
    on_units = counting(tell, "computing intervals", plan.num_score_units)
    results = results_of(
        plan,
        predictions,
        control_predictions,
        pixels,
        checkpoint=report.as_dict(),
        device=describe_device(chosen_device),
        machines=[describe_forward(chosen_device)],
        pretrained_on=pretrained_on,
        reproduce=_command(
            *how,
            backbone=[loading.backbone],
            prefix=[loading.prefix],
            variant=[loading.variant],
            input_spec=[loading.input_spec],
            device=[checked.device],
            pretrained_on=[pretrained_on],
            benchmark=benchmarks,
        ),
        on_units=on_units,
    )
    ended = time.perf_counter()
    counters = run.counters
    timings = Timings(
        total_s=ended - since,
        decode_s=counters.decode_s,
        wait_s=counters.wait_s,
        forward_s=counters.forward_s,
        scoring_s=run.scoring_s + (ended - controls_done),
        controls_s=controls_done - features_done,
    )
    return results.model_copy(update={"timings": timings})


def precheck(
    checkpoint: str | Path,
    protocol: str | Path | Protocol,
    *,
    backbone: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    benchmarks: Sequence[str] = (),
    device: str | torch.device | None = None,
) -> tuple[Protocol, torch.device]:
    """Check all arguments of an evaluation but the dataset, before the dataset takes minutes to decode.

    Returns:
        The protocol, and the device to run on.

    Raises:
        VcpbenchError: If a name is unknown, a file or device does not exist, a declared input is invalid, or
            the limit of the probes' memory is not a number.

    >>> precheck("epoch-300.pt", "quick-v1")
    Traceback (most recent call last):
    vcp_core.catalog.errors.NotACheckpoint: epoch-300.pt: no such file.
    """
    found = check_arguments(protocol, benchmarks, device)
    precheck_checkpoint(checkpoint, backbone=backbone, variant=variant, input_spec=input_spec)
    return found.numbers, found.chosen_device


def _load(dataset: str | Path, tell: Progress) -> Dataset:
    return load_dataset(dataset, progress=lambda done, total: tell(datasets.loading(dataset), done, total))


@dataclass
class _Run:
    """One evaluation: the state that the checkpoint and its controls share."""

    plan: EvaluationPlan
    network: Backbone
    device: torch.device
    tell: Progress
    counters: Counters = field(default_factory=Counters)
    scoring_s: float = 0.0

    def predict(
        self,
        network: Backbone,
        *,
        whose: str = "",
        plan: EvaluationPlan | None = None,
        counters: Counters | None = None,
    ) -> dict[str, Predictions]:
        """Write the features of every clip to disk, shard by shard, then predict every benchmark."""
        counters = counters if counters is not None else self.counters
        plan = plan or self.plan
        of = f" of {whose}" if whose else ""
        folder = cache_dir() / "work"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="features-") as work:
            paths: list[Path] = []
            for features in shard_features(
                plan,
                network,
                plan.shards,
                device=self.device,
                counters=counters,
                on_clips=counting(self.tell, f"forwarding clips{of}", plan.num_clips),
            ):
                paths.append(Path(work) / f"{len(paths):06d}.safetensors")
                features.save(paths[-1])
            begun = time.perf_counter()
            on_units = counting(self.tell, f"fitting probes{of}", plan.num_predict_units)
            predictions = predictions_of(plan, paths, on_units=on_units)
            if counters is self.counters:
                self.scoring_s += time.perf_counter() - begun
            return predictions

    def controls(self) -> dict[str, dict[str, Predictions]]:
        """Predictions of random weights, by seed, cached because every checkpoint needs them."""
        return {str(seed): self._control(seed) for seed in self.plan.protocol.control.seeds}

    def pixels(self) -> dict[str, Predictions]:
        """Predictions of the pixel baseline, cached like the controls."""

        def measure() -> dict[str, Predictions]:
            network = pixel_network(self.plan)
            return self.predict(network, whose="pixels", plan=self.plan.pixels, counters=Counters())

        return self._kept(PIXELS, measure)

    def _control(self, seed: int) -> dict[str, Predictions]:
        return self._kept(seed, lambda: self._measure_control(seed))

    def _kept(self, who: int | str, measure: Callable[[], dict[str, Predictions]]) -> dict[str, Predictions]:
        path = control_file(self.plan, who, self.device)
        kept = kept_predictions(path)
        if kept is not None:
            return kept
        predictions = measure()
        write_json(path, {name: value.model_dump(mode="json") for name, value in predictions.items()})
        return predictions

    def _measure_control(self, seed: int) -> dict[str, Predictions]:
        total = self.plan.calibration.num_clips
        on_clips = counting(self.tell, f"calibrating control {seed}", total)
        network = control_network(self.plan, seed, like=self.network, device=self.device, on_clips=on_clips)
        return self.predict(network, whose=f"control {seed}", counters=Counters())


def control_file(plan: EvaluationPlan, who: int | str, device: torch.device) -> Path:
    """The file of the cache that keeps a control's predictions.

    Args:
        plan: The evaluation's plan.
        who: The seed of random weights, or `PIXELS` for the pixel baseline.
        device: The device of the networks.
    """
    decides = [
        versions(),
        plan.spec.name,
        input_of(plan.spec),
        *reading_in_keys(plan.spec),
        who,
        plan.dataset.fingerprint,
        plan.protocol.hash,
        sorted(plan.active),
        describe_device(device),
        describe_forward(device) | blas_threads(),
    ]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return cache_dir() / "controls" / f"{key}.json"


def kept_predictions(path: Path) -> dict[str, Predictions] | None:
    """The predictions that a file of the cache keeps; None if it keeps none, or those of another version."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: Predictions.model_validate(value) for name, value in kept.items()}
    except (OSError, json.JSONDecodeError, ValidationError):
        return None


def _command(
    checkpoint: str | Path,
    dataset: Dataset,
    protocol: str | Path | Protocol,
    controls: bool,
    **options: Sequence[object],
) -> str | None:
    """The command that repeats the evaluation; None if the dataset or the protocol was made in Python."""
    if isinstance(protocol, Protocol):
        if protocol.name not in PROTOCOLS or PROTOCOLS[protocol.name].hash != protocol.hash:
            return None
        protocol = protocol.name
    if not dataset.source:
        return None
    file = str(checkpoint) if _is_text(str(checkpoint)) else "FILE"
    words = ["vcpbench", "local", file, "--dataset", *dataset.source, "--protocol", str(protocol)]
    words += [] if controls else ["--no-controls"]
    for name, values in options.items():
        for value in values:
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    return shlex.join(words)


def _is_text(name: str) -> bool:
    """Whether a name can be written to JSON: a file name need not be valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
