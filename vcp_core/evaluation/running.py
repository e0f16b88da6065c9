"""How a plan is run: networks to features, features to results; for `vcpbench local` and for workers.

`vcp_core.evaluation.evaluate` takes the steps one after the other in one process. A worker's child takes one
for each of its jobs: the same functions on the same plan, so both give the same digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.pixels import Pixels
from vcp_core.catalog.inputs import input_of
from vcp_core.evaluation.controls import random_weights
from vcp_core.evaluation.machine import blas_threads, versions
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank, ShardFeatures
from vcp_core.features.extraction import Counters, OnClips, extract
from vcp_core.features.shards import Shard
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions, Results


def control_network(
    plan: EvaluationPlan, seed: int, *, device: torch.device, on_clips: OnClips | None = None
) -> Backbone:
    """The random-weights control of a seed, calibrated on `plan.calibration`."""
    return random_weights(
        plan.spec.name,
        seed,
        plan.dataset,
        plan.protocol,
        input_spec=input_of(plan.spec),
        device=device,
        on_clips=on_clips,
    )


def pixel_network(plan: EvaluationPlan) -> Backbone:
    """The pixel baseline that sees the clips of the plan's network; its features are of `plan.pixels`."""
    return Pixels(plan.spec)


def shard_features(
    plan: EvaluationPlan,
    network: Backbone,
    shards: Sequence[Shard],
    *,
    device: torch.device,
    counters: Counters,
    on_clips: OnClips | None = None,
) -> Iterator[ShardFeatures]:
    """Forward every clip of the shards once, as the plan's protocol says.

    Raises:
        NonFiniteFeatures: As `vcp_core.features.extraction.extract`.
        UndecodableVideo: As `vcp_core.features.extraction.extract`.
    """
    return extract(
        network,
        plan.dataset,
        shards,
        device=device,
        precision=plan.protocol.precision,
        max_pooled=plan.max_pooled,
        counters=counters,
        on_clips=on_clips,
    )


def predictions_of(
    plan: EvaluationPlan, features: Sequence[Path], *, on_units: OnUnits = ignore
) -> dict[str, Predictions]:
    """Every benchmark's predictions, from files of `ShardFeatures`; their order changes nothing."""
    return plan.predict(FeatureBank(features), on_units=on_units)


def results_of(
    plan: EvaluationPlan,
    predictions: Mapping[str, Predictions],
    controls: Mapping[str, Mapping[str, Predictions]],
    pixels: Mapping[str, Predictions] | None,
    *,
    checkpoint: Mapping[str, object],
    device: str,
    machine: Mapping[str, int | str],
    reproduce: str | None,
    pretrained_on: str | None = None,
    own_name: str | None = None,
    warnings: tuple[str, ...] = (),
    on_units: OnUnits = ignore,
) -> Results:
    """Scores with everything that determined them, as `Plan.score` and `Plan.results` give them.

    Args:
        plan: What was run.
        predictions: Of the checkpoint, by benchmark.
        controls: Of random weights, by seed and benchmark.
        pixels: Of the pixel baseline, by benchmark.
        checkpoint: Its report, as plain values.
        device: Where the network ran, in words.
        machine: What else decided the features' last digits; the threads of intervals are this process's.
        reproduce: The command that gives these results again, if there is one.
        pretrained_on: What its makers declare that it was trained on.
        own_name: The dataset's in the catalog, where it is registered under another.
        warnings: On top of the dataset's.
        on_units: Told how many units of work are done since the last call.
    """
    return plan.results(
        plan.score(predictions, controls, pixels, on_units=on_units),
        checkpoint=checkpoint,
        versions=versions(),
        device=device,
        machine={**machine, **blas_threads()},
        reproduce=reproduce,
        pretrained_on=pretrained_on,
        own_name=own_name,
        warnings=warnings,
    )
