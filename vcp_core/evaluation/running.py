"""The steps of a plan: from networks to features, and from features to results.

`vcp_core.evaluation.evaluate` runs all steps in one process. A worker runs one step per job, in a child
process. Both call the functions of this module on the same plan, so both give the same digits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.pixels import Pixels
from vcp_core.evaluation.controls import random_weights
from vcp_core.evaluation.machine import blas_threads, joined, versions
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank, ShardFeatures
from vcp_core.features.extraction import OnClips, extract
from vcp_core.features.reading import Counters
from vcp_core.features.shards import Shard
from vcp_core.graphs import Graph
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions, Results


def control_network(
    plan: EvaluationPlan,
    seed: int,
    *,
    like: Backbone | None = None,
    device: torch.device,
    on_clips: OnClips | None = None,
) -> Backbone:
    """The random-weights control of a seed, calibrated on `plan.calibration`.

    Args:
        plan: The plan of the evaluation that it is compared with.
        seed: Seed of the initialisation.
        like: The network that it is compared with, on the CPU. Only a graph is needed: the facts of a family
            are enough to build it.
        device: Where to run.
        on_clips: Called with the number of clips after each batch.
    """
    return random_weights(
        like if isinstance(like, Graph) else plan.spec,
        seed,
        plan.dataset,
        plan.protocol,
        device=device,
        on_clips=on_clips,
    )


def pixel_network(plan: EvaluationPlan) -> Backbone:
    """The pixel baseline for the clips of the plan's network. Use its features with `plan.pixels`."""
    return Pixels(plan.spec)


def shard_features(
    plan: EvaluationPlan,
    network: Backbone,
    shards: Sequence[Shard],
    *,
    device: torch.device,
    counters: Counters,
    alone: bool = True,
    on_clips: OnClips | None = None,
) -> Iterator[ShardFeatures]:
    """Forward every clip of the shards once, as the plan's protocol says.

    Args:
        plan: The plan.
        network: The network, or the pixel baseline.
        shards: The clips.
        device: Where to run.
        counters: Updated while it runs.
        alone: As for `vcp_core.features.extraction.extract`.
        on_clips: Called with the number of clips after each batch.

    Raises:
        GraphError: As `vcp_core.features.extraction.extract`.
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
        alone=alone,
        counters=counters,
        on_clips=on_clips,
    )


def parts_of(
    plan: EvaluationPlan, features: Sequence[Path], names: Collection[str], *, on_units: OnUnits = ignore
) -> dict[str, Predictions]:
    """The predictions of the parts of these names, from files of `ShardFeatures` in any order."""
    wanted = [part for part in plan.parts if str(part) in names]
    return plan.predict_parts(FeatureBank(features), wanted, on_units=on_units)


def predictions_of(
    plan: EvaluationPlan,
    features: Sequence[Path],
    done: Mapping[str, Predictions] | None = None,
    *,
    on_units: OnUnits = ignore,
) -> dict[str, Predictions]:
    """Every benchmark's predictions, from files of `ShardFeatures` in any order.

    Args:
        plan: The plan that was run.
        features: The features of all clips; they are not read if all parts are done.
        done: Predictions of the parts that are done already, by the parts' names (`parts_of`).
        on_units: Called with the number of units of work done since the last call.
    """
    done = done or {}
    left = [part for part in plan.parts if str(part) not in done]
    made = plan.predict_parts(FeatureBank(features), left, on_units=on_units) if left else {}
    return plan.join({**done, **made})


def results_of(
    plan: EvaluationPlan,
    predictions: Mapping[str, Predictions],
    controls: Mapping[str, Mapping[str, Predictions]],
    pixels: Mapping[str, Predictions] | None,
    *,
    checkpoint: Mapping[str, object],
    device: str,
    machines: Iterable[Mapping[str, int]],
    reproduce: str | None,
    pretrained_on: str | None = None,
    own_name: str | None = None,
    warnings: tuple[str, ...] = (),
    on_units: OnUnits = ignore,
) -> Results:
    """Score all predictions, and join the scores with everything that determined them.

    Args:
        plan: The plan that was run.
        predictions: Predictions of the checkpoint, by benchmark.
        controls: Predictions of random weights, by seed and benchmark.
        pixels: Predictions of the pixel baseline, by benchmark.
        checkpoint: The checkpoint's report, as plain values.
        device: The device that the network ran on, in words.
        machines: Other facts that decided the last digits of features and probes, for each machine that took
            part. This process's BLAS threads are added.
        reproduce: The command that gives these results again, if there is one.
        pretrained_on: The training data that the checkpoint's makers declare.
        own_name: The dataset's name in the catalog, if it is registered under another name.
        warnings: Warnings in addition to the dataset's.
        on_units: Called with the number of units of work done since the last call.
    """
    return plan.results(
        plan.score(predictions, controls, pixels, on_units=on_units),
        checkpoint=checkpoint,
        versions=versions(),
        device=device,
        machine=joined([*machines, blas_threads()]),
        reproduce=reproduce,
        pretrained_on=pretrained_on,
        own_name=own_name,
        warnings=warnings,
    )
