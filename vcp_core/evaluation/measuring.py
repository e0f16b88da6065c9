"""Estimate an evaluation on this machine, from rates that are measured in a few seconds.

The rates are measured on the asked videos and the asked network:

- decoding: a few videos through the extraction's own threads
- forwarding: a few batches of their clips, after a warm-up
- scoring: one linear probe and one ranking of made-up features, in the shape of the evaluation's largest, but
  smaller; and a tiny probe, whose time is the fixed part of a fit

Legend: N rows, D features, K classes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vcp_core.backbones.base import Backbone
from vcp_core.benchmarks.sizes import Probe, Ranking
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.catalog.specs import PIXELS
from vcp_core.checkpoints import load_checkpoint
from vcp_core.datasets import Dataset
from vcp_core.evaluation.estimate import (
    Counts,
    Estimate,
    Network,
    batch_bytes,
    control_name,
    networks_of,
)
from vcp_core.evaluation.evaluate import control_file, kept_predictions, precheck
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.rates import NOTHING, Rates, Span
from vcp_core.evaluation.running import pixel_network
from vcp_core.features.extraction import inference, iter_batches, reading_beside, ready
from vcp_core.features.reading import Counters, Reading
from vcp_core.features.shards import BATCH_CLIPS, Shard
from vcp_core.probes.logistic import fit_with_holdout
from vcp_core.probes.ranking import retrieval_ranks
from vcp_core.progress import Progress, shown

DECODE_VIDEOS, ROUNDS = 4, 3  # videos of a round, and rounds: at most 12 videos are decoded, and one before
FORWARD_S = 4.0  # seconds for forwarding, warm-up included
PROBE_ENTRIES = 1 << 20  # rows x columns of the largest probe that is fitted
TINY = Probe(rows=40, columns=8, classes=2, fits=1, held=0)
RANKED = (64, 4096)  # queries and gallery rows that are ranked, at most
# The scoring of two networks of UCF101's size took 7e-8 to 1.1e-7 s for each unit
# (docs/decisions/2026-11-29-probes.md), and the strengths of a protocol differ more than that in iterations.
SCORING_FACTOR = 2.0
QUICK = "quick-v1"


def estimate(
    checkpoint: str | Path,
    dataset: Dataset,
    protocol: str | Path | Protocol = "standard-v1",
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    benchmarks: Sequence[str] = (),
    device: str | torch.device | None = None,
    controls: bool = True,
    progress: Progress | bool = True,
) -> Estimate:
    """Estimate what `evaluate` will take with these arguments, on this machine. It takes about 10 s.

    Controls whose predictions are kept from an earlier evaluation take no time.

    Args:
        checkpoint: As for `evaluate`, like all other arguments.
        dataset: The result of `load_dataset`.
        protocol: A name, a TOML file, or a protocol.
        backbone: The architecture's name.
        prefix: Prefix of the network's keys if the file holds several networks.
        variant: The form of the network, if no tensor shows it.
        input_spec: The clips that the network takes, if they are not its family's own.
        benchmarks: Some of the benchmarks; all by default.
        device: "cpu", "cuda", ...; a GPU if there is one.
        controls: Whether random weights and pixels will be measured.
        progress: As for `evaluate`.

    Raises:
        VcpbenchError: If an input cannot be evaluated.
    """
    numbers, chosen = precheck(
        checkpoint,
        protocol,
        backbone=backbone,
        variant=variant,
        input_spec=input_spec,
        benchmarks=benchmarks,
        device=device,
    )
    with shown(progress) as tell:
        begun = time.perf_counter()
        tell("reading the checkpoint", 0, 1)
        network, _ = load_checkpoint(
            checkpoint, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
        )
        tell("reading the checkpoint", 1, 1)
        once_s = time.perf_counter() - begun
        active = tuple(benchmarks) or tuple(BENCHMARKS)
        plan = EvaluationPlan(dataset=dataset, protocol=numbers, spec=network.spec, benchmarks=active)
        rates = replace(measure(plan, network, device=chosen, tell=tell), once_s=once_s)
    found = _estimate(plan, rates, chosen, controls=controls)
    shorter = []
    if len(found.missing) > 1:
        shorter.append(("--no-controls", _estimate(plan, rates, chosen, controls=False)))
    quick = replace(plan, protocol=PROTOCOLS[QUICK])
    # The rates hold for one precision.
    if numbers.hash != quick.protocol.hash and numbers.precision == quick.protocol.precision:
        shorter.append((f"--protocol {QUICK}", _estimate(quick, rates, chosen, controls=controls)))
    times = [(how, one.total_s) for how, one in shorter]
    return replace(found, shorter=tuple((how, span) for how, span in times if span is not None))


def _estimate(plan: EvaluationPlan, rates: Rates, device: torch.device, *, controls: bool) -> Estimate:
    """The same rates on a plan."""
    counts = Counts.of(plan)
    kept = kept_controls(plan, device) if controls else ()
    return Estimate(
        counts=counts,
        networks=networks_of(plan, counts, controls=controls, kept=kept),
        batch_bytes=batch_bytes(plan.spec, BATCH_CLIPS[device.type]),
        rates=rates,
        unavailable=plan.unavailable,
    )


def kept_controls(plan: EvaluationPlan, device: torch.device) -> set[str]:
    """Names of the controls whose predictions the cache keeps (`Network.name`)."""
    wanted: dict[str, int | str] = {control_name(seed): seed for seed in plan.protocol.control.seeds}
    wanted[PIXELS] = PIXELS
    return {name for name, who in wanted.items() if kept_predictions(control_file(plan, who, device))}


def measure(plan: EvaluationPlan, network: Backbone, *, device: torch.device, tell: Progress) -> Rates:
    """Measure the rates of a plan on this machine: decode, forward, fit, rank.

    Args:
        plan: The plan.
        network: The network of the plan's backbone.
        device: The device of the networks.
        tell: Called with the progress.
    """
    if not plan.num_clips:  # no benchmark can run on these videos
        return Rates(frame_s=NOTHING, clip_s=NOTHING, pixel_clip_s=NOTHING, unit_s=NOTHING)
    stages = ("decoding", "forwarding", "forwarding pixels", "fitting a probe")
    done = iter(range(len(stages) + 1))

    def step() -> None:
        tell("measuring this machine", next(done), len(stages))

    step()
    reading = reading_beside(device)
    frame_s, clips_BCTHW = _decode(plan, BATCH_CLIPS[device.type], reading)
    step()
    network = ready(network, device)
    before = _peak_bytes()
    clip_s, part = _forward(plan, network, clips_BCTHW, device)
    peak = _peak_bytes()
    step()
    pixel_clip_s, _ = _forward(plan, ready(pixel_network(plan), device), clips_BCTHW, device)
    step()
    (network_sizes,) = networks_of(plan, Counts.of(plan), controls=False)
    unit_s, fit_s = _fit(plan, network_sizes)
    pair_s = _rank(network_sizes)
    step()
    return Rates(
        frame_s=frame_s,
        clip_s=clip_s,
        pixel_clip_s=pixel_clip_s,
        unit_s=unit_s,
        fit_s=fit_s,
        pair_s=pair_s,
        in_turns=reading.in_turns,
        process_bytes=round(before + (peak - before) / part),  # a smaller batch was forwarded, maybe
    )


def _decode(plan: EvaluationPlan, batch_clips: int, reading: Reading) -> tuple[Span, Tensor]:
    """Seconds of a decoded frame, and one batch of clips. Videos are taken evenly from all of them."""
    items = [item for shard in plan.shards for item in shard.videos]
    wanted = min(len(items), 1 + ROUNDS * DECODE_VIDEOS)
    chosen = [items[number * len(items) // wanted] for number in range(wanted)]
    rounds = [chosen[start : start + DECODE_VIDEOS] for start in range(1, wanted, DECODE_VIDEOS)]
    clips_BCTHW = torch.empty(0)
    rates = []
    for videos in (chosen[:1], *rounds):  # the first video pays for what is loaded once
        counters, begun = Counters(), time.perf_counter()
        shard = Shard(number=0, videos=tuple(videos))
        batches = iter_batches(
            plan.dataset, [shard], plan.spec, batch_clips=batch_clips, reading=reading, counters=counters
        )
        for batch in batches:
            clips_BCTHW = batch.pixels_BCTHW
        rates.append((time.perf_counter() - begun) / counters.decoded_frames)
    return Span.of(rates[1:] or rates), clips_BCTHW


def _forward(
    plan: EvaluationPlan, network: Backbone, clips_BCTHW: Tensor, device: torch.device
) -> tuple[Span, float]:
    """Seconds of a clip in a network, and the part of a batch that was forwarded at once.

    On a CPU, a large network would take long for whole batches. Then fewer clips are forwarded at once.
    """

    def forward(num_clips: int) -> float:
        begun = time.perf_counter()
        with inference(device, plan.protocol.precision):
            stages = network.stages(clips_BCTHW[:num_clips].to(device), max_pooled=plan.max_pooled)
        for features_BD in stages.values():
            features_BD.float().cpu()  # waits for a GPU
        return time.perf_counter() - begun

    begun = time.perf_counter()
    batch = num_clips = len(clips_BCTHW)
    if device.type == "cpu":
        forward(1)
        num_clips = min(batch, max(1, int(FORWARD_S / (ROUNDS * forward(1)))))
    forward(num_clips)
    rates = [forward(num_clips) / num_clips]
    while len(rates) < ROUNDS and time.perf_counter() - begun < FORWARD_S:
        rates.append(forward(num_clips) / num_clips)
    return Span.of(rates), num_clips / batch


def _fit(plan: EvaluationPlan, network: Network) -> tuple[Span, Span]:
    """Seconds of a unit of the largest probe, and the fixed seconds of a fit."""
    probes = [one for one in network.sizes if isinstance(one, Probe)]
    if not probes:
        return NOTHING, NOTHING
    largest = max(probes, key=lambda one: one.num_values)
    factor = min(1.0, (PROBE_ENTRIES / (largest.rows * largest.columns)) ** 0.5)
    columns = max(1, round(factor * largest.columns))
    wanted = replace(largest.times(factor), columns=columns)
    # Each class needs a few rows, and some of them are held out.
    wanted = replace(wanted, rows=max(wanted.rows, 20), classes=min(largest.classes, wanted.rows // 5, 100))
    fixed_s = _timed_fit(plan, replace(TINY, fits=largest.fits)) / largest.fits
    took_s = _timed_fit(plan, replace(wanted, classes=max(2, wanted.classes)))
    unit_s = max(0.0, took_s - fixed_s * largest.fits) / wanted.num_values
    return Span.about(unit_s, SCORING_FACTOR), Span.about(fixed_s, SCORING_FACTOR)


def _timed_fit(plan: EvaluationPlan, probe: Probe) -> float:
    """Seconds of a probe on made-up features, by the protocol's strengths."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(probe.rows) % probe.classes
    features_ND = _features(rng, labels_N, probe.columns)
    numbers = plan.protocol.probe

    def fit() -> None:
        fit_with_holdout(
            features_ND,
            labels_N,
            [str(row // probe.classes) for row in range(probe.rows)],
            num_classes=probe.classes,
            candidates=numbers.l2,
            holdout_fraction=numbers.holdout_fraction,
            max_iterations=numbers.max_iterations,
            tolerance=numbers.tolerance,
        )

    return _seconds(fit)


def _features(
    rng: np.random.Generator, labels_N: npt.NDArray[np.integer], num_columns: int
) -> npt.NDArray[np.float32]:
    """Correlated features that depend on the class: mixtures of 16 directions, and noise."""
    classes_KR = rng.standard_normal((int(labels_N.max()) + 1, 16), np.float32)
    mixed_NR = classes_KR[labels_N] + rng.standard_normal((len(labels_N), 16), np.float32)
    mixing_RD = rng.standard_normal((16, num_columns), np.float32)
    noise_ND = rng.standard_normal((len(labels_N), num_columns), np.float32)
    return np.asarray(np.maximum(mixed_NR @ mixing_RD + noise_ND, 0), np.float32)


def _rank(network: Network) -> Span:
    """Seconds of a pair of the largest ranking."""
    rankings = [one for one in network.sizes if isinstance(one, Ranking)]
    if not rankings:
        return NOTHING
    largest = max(rankings, key=lambda one: one.pairs)
    num_queries, num_gallery = min(largest.queries, RANKED[0]), min(largest.gallery, RANKED[1])
    rng = np.random.default_rng(0)
    labels_N = np.arange(num_queries + num_gallery) % 2
    features_ND = _features(rng, labels_N, largest.columns)

    def rank() -> None:
        retrieval_ranks(
            features_ND[:num_queries],
            features_ND[num_queries:],
            labels_N[:num_queries],
            labels_N[num_queries:],
            ks=(1,),
        )

    rank()
    return Span.about(_seconds(rank) / (num_queries * num_gallery), SCORING_FACTOR)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _peak_bytes() -> int:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
