"""Compares an estimate with the run that follows it, or multiplies measured pieces up to a larger size.

python -m bench.estimates                       r3d_tiny, playground-64, quick-v1: estimate, then the run
python -m bench.estimates --checkpoint model.pt --dataset playground-136 --protocol standard-v1
python -m bench.estimates --at kinetics400      r3d, standard-v1, 1,000 checkpoints a day: arithmetic, no run
python -m bench.estimates --at kinetics400 --clip-ms 0.4 --protocol quick-v1

Run the first with nothing else on the machine. The second takes seconds. Its rates are options. The defaults
are measurements of the decisions that `RATES` names.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import torch

from vcp_core.backbones import build
from vcp_core.benchmarks.sizes import Probe
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.units import bytes_written
from vcp_core.datasets import load_dataset
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.estimate import (
    CHECKPOINT,
    Counts,
    Estimate,
    Network,
    batch_bytes,
    networks_of,
)
from vcp_core.evaluation.evaluate import evaluate
from vcp_core.evaluation.measuring import estimate
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.rates import Rates, Span
from vcp_core.features.shards import BATCH_CLIPS
from vcp_core.progress import duration

DAY_S = 86_400
RATES = {  # option: (default, what it is, where it was measured)
    "frame_us": (562.0, "CPU time of a decoded frame of H.264, 320 x 240", "2026-11-29-kernel.md"),
    "clip_ms": (1.30, "r3d, fp32, a clip on an H100", "2026-11-26-gpu.md"),
    "unit_ns": (113.0, "a row x column x fit of a probe on two cores", "2026-11-29-probes.md"),
    "pair_ns": (373.0, "a query's pair with a gallery row on two cores", "2026-11-23-comparisons.md"),
}
MEASURED_PIXELS = 320 * 240  # of the frames that `frame_us` was measured on


@dataclass(frozen=True, kw_only=True)
class Size:
    """A dataset that nobody has here, by its sizes.

    Attributes:
        train: Training videos.
        test: Test videos.
        classes: Classes.
        frames: Frames of each video.
        height: Height of a frame, in pixels.
        width: Width of a frame, in pixels.
    """

    train: int
    test: int
    classes: int
    frames: int
    height: int
    width: int

    def sample(self, factor: int) -> Dataset:
        """A dataset in which each video stands for `factor` of them."""
        sides = [("train", self.train // factor), ("test", self.test // factor)]
        names = (("train" if side == "train" else "test", n) for side, count in sides for n in range(count))
        videos = [self._video(number, split) for number, (split, _) in enumerate(names)]
        return Dataset(name="made up", split_name="1", root=Path("nowhere"), videos=tuple(videos))

    def _video(self, number: int, split: str) -> Video:
        label = f"class{number % self.classes:03d}"
        return Video(
            id=f"{label}/{number:06d}.mp4",
            label=label,
            split="train" if split == "train" else "test",
            group=None,
            sha256="0" * 64,
            num_frames=self.frames,
        )


# arXiv:1705.06950: clips of about 10 s, here with 30 frames a second. The numbers of videos are round, for
# videos vanish and every copy has others. 340 x 256 is the size that much research code stores.
SIZES = {
    "kinetics400": Size(train=240_000, test=20_000, classes=400, frames=300, height=256, width=340),
}


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """Lines of a table: the estimate beside the run."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, VCPBENCH_CACHE=folder):
        dataset = load_dataset(arguments.dataset)  # made and indexed before the clock starts
        checkpoint = arguments.checkpoint
        if checkpoint is None:
            checkpoint = Path(folder) / "r3d_tiny.pt"
            torch.save(build("r3d_tiny", seed=0).state_dict(), checkpoint)
        found = estimate(checkpoint, dataset, arguments.protocol, device=arguments.device)
        results = evaluate(checkpoint, dataset, arguments.protocol, device=arguments.device)
    times, total = results.timings, found.total_s
    assert times is not None
    assert total is not None
    alone = replace(found, networks=found.networks[:1])
    rows = [
        ("features of the checkpoint", alone.features_s, times.wait_s + times.forward_s),
        ("scoring of the checkpoint", alone.scoring_s, times.scoring_s),
        ("all networks", total, times.total_s),
    ]
    yield f"{results.provenance.backbone}, {dataset.name}, {results.provenance.protocol_name}, "
    yield f"{found.counts.clips} clips, {len(found.networks)} networks, {results.provenance.device}"
    yield f"{'seconds':<28}{'low':>8}{'high':>8}{'run':>8}{'run / middle':>14}"
    for name, span, real_s in rows:
        assert span is not None
        yield f"{name:<28}{span.low:8.1f}{span.high:8.1f}{real_s:8.1f}{real_s / span.middle:14.2f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    yield f"memory: estimated {bytes_written(found.memory_bytes)}, in the run {bytes_written(peak)}"


def multiply(arguments: argparse.Namespace) -> Iterator[str]:
    """Lines of a table: what one checkpoint takes, and many a day."""
    size, spec = SIZES[arguments.at], BACKBONES[arguments.backbone]
    factor = 100
    plan = EvaluationPlan(
        dataset=size.sample(factor), protocol=PROTOCOLS[arguments.protocol or "standard-v1"], spec=spec
    )
    counts = Counts.of(plan, factor)
    networks = networks_of(plan, counts, factor=factor, shard_clips=arguments.shard_clips)
    frame_us = arguments.frame_us * size.height * size.width / MEASURED_PIXELS
    rates = rates_of(arguments, frame_us)
    yield "Arithmetic from measured pieces. No such evaluation was run."
    yield f"{arguments.at}: {size.train:,} training and {size.test:,} test videos of {size.classes} classes, "
    yield f"{size.frames} frames of {size.width} x {size.height} each; {spec.name}, {plan.protocol.name}"
    yield ""
    for option, (default, what, source) in RATES.items():
        value = getattr(arguments, option)
        yield f"{option:<10}{value:8g}  {what} ({source if value == default else 'given'})"
    yield f"{'':<10}{frame_us:8.0f}  microseconds of a frame of {size.width} x {size.height}, by its pixels"
    yield "The pixel baseline counts as a network: no one has measured it on a GPU."
    yield ""
    checkpoint, controls = networks[0], networks[1:]
    yield f"{'':<38}{'a checkpoint':>16}{'the controls, once':>20}"
    for name, values in columns(
        rates, (networks[:1], controls), counts, batch_bytes(spec, BATCH_CLIPS["cuda"])
    ):
        yield f"{name:<38}{values[0]:>16}{values[1]:>20}"
    yield ""
    yield f"{arguments.per_day:,} checkpoints a day"
    yield from daily(arguments, checkpoint, rates, frame_us, clip_json_bytes(plan))


def rates_of(arguments: argparse.Namespace, frame_us: float) -> Rates:
    """The rates that the options give. The pixel baseline counts as much as a network: an upper limit."""
    clip_s = arguments.clip_ms / 1e3
    return Rates(
        frame_s=exactly(frame_us / 1e6 / arguments.decoders),
        clip_s=exactly(clip_s),
        pixel_clip_s=exactly(clip_s),
        unit_s=exactly(arguments.unit_ns / 1e9),
        pair_s=exactly(arguments.pair_ns / 1e9),
    )


def exactly(seconds: float) -> Span:
    """A range without width."""
    return Span(seconds, seconds)


def columns(
    rates: Rates, both: tuple[tuple[Network, ...], ...], counts: Counts, batch: int
) -> Iterator[tuple[str, list[str]]]:
    """The rows of the table: a name, and the values of the checkpoint and of the controls."""
    found = [Estimate(counts=counts, networks=one, batch_bytes=batch, rates=rates) for one in both]
    for name, part in (
        ("decoding, on one worker", "decode_s"),
        ("forwarding, on one GPU", "forward_s"),
        ("scoring, on two cores", "scoring_s"),
        ("all, one after the other", "total_s"),
    ):
        yield name, [duration(getattr(one, part).high) for one in found]
    yield "clips", [f"{sum(one.clips for one in networks):,}" for networks in both]
    yield "decoded frames", [f"{sum(one.frames for one in networks):,}" for networks in both]
    yield "shards", [f"{sum(one.shards for one in networks):,}" for networks in both]
    yield "features on disk", [bytes_written(one.disk_bytes) for one in found]
    yield "memory of the largest probe", [bytes_written(one.scoring_bytes) for one in found]
    for networks in both[:1]:
        largest = max((p for p in networks[0].sizes if isinstance(p, Probe)), key=lambda p: p.memory_bytes)
        yield (
            "  its rows x columns, classes",
            [
                f"{largest.rows:,} x {largest.columns}, {largest.classes}",
                "",
            ],
        )


def daily(
    arguments: argparse.Namespace, checkpoint: Network, rates: Rates, frame_us: float, clip_bytes: float
) -> Iterator[str]:
    """Lines about many checkpoints a day, with their controls measured already."""
    per_day, decoders_each = arguments.per_day, arguments.decoders
    one = Estimate(
        counts=Counts(videos=0, clips=0, frames=0, calibration_clips=0, calibration_frames=0),
        networks=(checkpoint,),
        batch_bytes=0,
        rates=rates,
    )
    assert checkpoint.name == CHECKPOINT
    assert one.forward_s is not None
    assert one.decode_s is not None
    assert one.scoring_s is not None
    gpus = per_day * one.forward_s.high / DAY_S
    decoders = per_day * one.decode_s.high / DAY_S
    for name, text in (
        ("GPUs that only forward", f"{gpus:,.1f}"),
        (f"workers that only decode, {decoders_each} threads each", f"{decoders:,.1f}"),
        ("cores that decode", f"{per_day * checkpoint.frames * frame_us / 1e6 / DAY_S:,.1f}"),
        (
            f"workers of the gpu queue, a GPU and {decoders_each} decoding threads each",
            f"{max(gpus, decoders):,.1f} to {gpus + decoders:,.1f}",
        ),
        (
            "workers of the cpu queue, two cores each",
            f"{per_day * one.scoring_s.high / DAY_S:,.1f}",
        ),
        ("features", f"{bytes_written(per_day * checkpoint.feature_bytes)} a day"),
        ("rows of shard, of evaluation_shard, and of job", f"{per_day * checkpoint.shards:,} a day each"),
        (
            "the clips in rows of shard, as JSON",
            f"{bytes_written(round(per_day * checkpoint.clips * clip_bytes))} a day",
        ),
    ):
        yield f"{name:<68}{text:>24}"


def clip_json_bytes(plan: EvaluationPlan) -> float:
    """Bytes of a clip in `Shard.clips`, as the worker writes it, on average."""
    shard = plan.shards[0]
    listed = [[video.id, video.sha256, [list(clip[1:]) for clip in clips]] for video, clips in shard.videos]
    return len(json.dumps(listed)) / shard.num_clips


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a weights file; random r3d_tiny if left out")
    parser.add_argument("--dataset", default="playground-64")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), help="quick-v1, or standard-v1 for --at")
    parser.add_argument("--device")
    parser.add_argument("--at", choices=list(SIZES), help="multiply up to this size instead of a run")
    parser.add_argument("--backbone", default="r3d", help="for --at")
    parser.add_argument("--per-day", type=int, default=1000, help="checkpoints a day, for --at")
    parser.add_argument("--shard-clips", type=int, default=256, help="clips of a shard, for --at")
    parser.add_argument("--decoders", type=int, default=15, help="decoding threads of a worker, for --at")
    for option, (default, what, _) in RATES.items():
        parser.add_argument(
            f"--{option.replace('_', '-')}", type=float, default=default, help=f"for --at: {what}"
        )
    return parser.parse_args(words)


def main() -> None:
    """Print the table."""
    arguments = parse()
    if arguments.at is None:
        arguments.protocol = arguments.protocol or "quick-v1"
    for line in multiply(arguments) if arguments.at else run(arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
