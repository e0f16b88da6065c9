"""The random-weights control: the same backbone, its own initialisation, calibrated batch-norm (PROTOCOL 4).

An uncalibrated random network is a straw man: its activations die or explode after a few layers, so its
batch-norm statistics are estimated on training clips first.
"""

from __future__ import annotations

import torch
from torch import nn

from vcp_core.backbones import build
from vcp_core.backbones.base import Backbone
from vcp_core.benchmarks.grid import grid_clips
from vcp_core.catalog.backbones import BackboneSpec
from vcp_core.catalog.protocols import Protocol
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features import Counters, OnClips, inference, iter_batches
from vcp_core.shards import Clip, Shard
from vcp_core.video.clips import Draws

CALIBRATION_BATCH = 16  # clips; fixed, because batch statistics depend on it and devices must agree


def calibration_shard(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> Shard:
    """Training clips for batch-norm statistics: a few grid clips of each video, videos in a seeded order."""
    train = sorted(
        dataset.side("train"), key=lambda v: Draws(protocol.seed, "calibration", v.id).below(1 << 62)
    )
    wanted = protocol.control.calibration_clips
    per_video = -(-wanted // len(train))
    chosen: list[tuple[Video, tuple[Clip, ...]]] = []
    for video in train:
        distinct = sorted(set(grid_clips(video, protocol, spec)))
        middle = len(distinct) // 2
        clips = (distinct[middle:] + distinct[:middle])[: min(per_video, wanted)]
        chosen.append((video, tuple(clips)))
        wanted -= len(clips)
        if wanted <= 0:
            break
    return Shard(number=0, videos=tuple(chosen))


def calibrate(
    backbone: Backbone,
    dataset: Dataset,
    protocol: Protocol,
    *,
    device: torch.device,
    on_clips: OnClips | None = None,
) -> None:
    """Replace the running statistics of every batch-norm layer by averages over training clips."""
    norms = [module for module in backbone.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    backbone.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    backbone.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: the plain average over batches
        norm.train()
    shard = calibration_shard(dataset, protocol, backbone.spec)
    batches = iter_batches(
        dataset, [shard], backbone.spec, batch_clips=CALIBRATION_BATCH, counters=Counters()
    )
    for number, batch in enumerate(batches):
        # A small last batch would count as much as a full one; it goes unless it is the only one.
        if number == 0 or len(batch.clips) == CALIBRATION_BATCH:
            with inference(device, "fp32"):
                backbone.stages(batch.pixels_BCTHW[: len(batch.clips)].to(device))
        if on_clips:
            on_clips(len(batch.clips))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.eval()


def random_weights(
    name: str,
    seed: int,
    dataset: Dataset,
    protocol: Protocol,
    *,
    device: torch.device | None = None,
    on_clips: OnClips | None = None,
) -> Backbone:
    """The control network of `seed`: save its state dict, evaluate it, and it scores what the control scores.

    Args:
        name: A backbone of the catalog.
        seed: Of its initialisation.
        dataset: Whose training clips give the batch-norm statistics.
        protocol: How many of them, and which.
        device: Where to run; the CPU by default.
        on_clips: Called with the number of clips after each batch.

    Raises:
        UnknownName: If there is no such backbone.
    """
    backbone = build(name, seed=seed)
    calibrate(backbone, dataset, protocol, device=device or torch.device("cpu"), on_clips=on_clips)
    return backbone
