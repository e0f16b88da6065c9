"""What an evaluation will take: clips, time, disk and memory. No torch.

A `Plan` of counts says how much there is to do. `Rates` say how long a piece of it takes. The library
measures rates on this machine (`vcp_core.evaluation.measuring`). The service takes them from the last
evaluations. The arithmetic is here, once for both:

- decoding: frames x seconds of a frame, with all decoding threads at work
- forwarding: clips x seconds of a clip
- a network's features: the sum of both if they take turns; otherwise between the longer of the two (they
  overlap) and their sum (they share the cores)
- scoring: for every linear probe, rows x columns x fits, and a fixed time for each fit; for every ranking,
  its pairs of a query and a gallery row
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from vcp_core.benchmarks.sizes import Probe, Ranking
from vcp_core.catalog.specs import PIXELS, BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.calibration import CALIBRATION_BATCH
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.rates import NOTHING, Rates, Span

CHECKPOINT = "checkpoint"
FLOAT_BYTES = 4  # features are float32
PIXEL_BYTES = 1 + 4  # of a pixel of a batch: as uint8, and as the float32 that the network takes


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Videos, clips and frames of one network.

    Attributes:
        videos: Videos of both sides.
        clips: Distinct clips, each of which is forwarded once.
        frames: Frames that are decoded: of each video, all up to the last that a clip needs.
        calibration_clips: Clips that calibrate one draw of random weights.
        calibration_frames: Frames that are decoded for these.
        of_sample: Whether clips and frames were counted in a sample of the videos.
    """

    videos: int
    clips: int
    frames: int
    calibration_clips: int
    calibration_frames: int
    of_sample: bool = False

    @classmethod
    def of(cls, plan: EvaluationPlan, factor: float = 1.0) -> Counts:
        """Count a plan; `factor` is how many videos each of its videos stands for (`sampled`)."""
        clips, frames = 0, 0
        for video in plan.dataset.videos:
            wanted = set(plan.clips(video))
            clips += len(wanted)
            frames += decoded_frames(video, {clip.start for clip in wanted}, plan.spec)
        calibration_clips, calibration_frames = _calibration(plan, factor)
        return cls(
            videos=round(factor * len(plan.dataset.videos)),
            clips=round(factor * clips),
            frames=round(factor * frames),
            calibration_clips=calibration_clips,
            calibration_frames=calibration_frames,
            of_sample=factor != 1.0,
        )


def decoded_frames(video: Video, starts: Collection[int], spec: BackboneSpec) -> int:
    """Frames that are decoded for clips at these starts: all up to the last one that a clip needs.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=100)
    >>> decoded_frames(video, [0, 42], BACKBONES["r3d"])
    58
    """
    if not starts:
        return 0
    # A clip that reaches beyond the end goes on from the first frame.
    return min(max(starts) + spec.clip_span, video.num_frames)


def _calibration(plan: EvaluationPlan, factor: float) -> tuple[int, int]:
    """Clips that calibrate random weights, and about how many frames are decoded for them.

    The clips are spread evenly over the training videos, at random starts. The last of k random starts lies
    at k / (k + 1) of the video on average.
    """
    span, train = plan.spec.clip_span, plan.dataset.side("train")
    room = [max(0, video.num_frames - span) for video in train]
    clips = min(plan.protocol.control.calibration_clips, round(factor * sum(one + 1 for one in room)))
    if clips > CALIBRATION_BATCH:
        clips -= clips % CALIBRATION_BATCH
    used = min(clips, round(factor * len(train)))
    each = clips / used
    return clips, round(used * (span + np.mean(room) * each / (each + 1)))


def sampled(dataset: Dataset, most_videos: int) -> tuple[Dataset, float]:
    """A dataset of at most so many of the videos, evenly over each side, and how many each stands for.

    A dataset that is small enough is returned as it is, with 1.
    """
    step = math.ceil(len(dataset.videos) / most_videos)
    if step <= 1:
        return dataset, 1.0
    kept = [*dataset.side("train")[::step], *dataset.side("test")[::step]]
    return replace(dataset, videos=tuple(kept)), len(dataset.videos) / len(kept)


@dataclass(frozen=True, kw_only=True)
class Network:
    """The work on one network: the checkpoint, a draw of random weights, or the pixel baseline.

    Attributes:
        name: "checkpoint", "random weights 0", ... or "pixels".
        clips: Clips to forward, those of the calibration included.
        frames: Frames to decode for them.
        feature_bytes: Bytes of its features: clips x numbers of a clip x 4.
        sizes: Its probes and rankings.
        shards: Shards of clips that it is cut into.
        kept: Whether its results are there already, so that it takes no time.
    """

    name: str
    clips: int
    frames: int
    feature_bytes: int
    sizes: tuple[Probe | Ranking, ...]
    shards: int
    kept: bool = False

    @property
    def units(self) -> int:
        """Rows x columns x fits of its linear probes."""
        return sum(one.num_values for one in self.sizes if isinstance(one, Probe))

    @property
    def fits(self) -> int:
        """Fits of its linear probes."""
        return sum(one.fits for one in self.sizes if isinstance(one, Probe))

    @property
    def pairs(self) -> int:
        """Pairs of a query and a gallery row in its rankings."""
        return sum(one.pairs for one in self.sizes if isinstance(one, Ranking))


def control_name(seed: int) -> str:
    """The name of a draw of random weights."""
    return f"random weights {seed}"


def networks_of(
    plan: EvaluationPlan,
    counts: Counts,
    *,
    factor: float = 1.0,
    controls: bool = True,
    kept: Collection[str] = (),
    shard_clips: int | None = None,
) -> tuple[Network, ...]:
    """The networks of an evaluation, the checkpoint first.

    Args:
        plan: The plan.
        counts: Its counts.
        factor: How many videos each video of the plan stands for.
        controls: Whether random weights and pixels are measured, too.
        kept: Names of networks whose results are there already.
        shard_clips: Clips of a shard; None if all clips are one.
    """

    def network(name: str, of: EvaluationPlan, *, calibrated: bool = False) -> Network:
        numbers = sum(of.spec.stage_dims) + (of.spec.max_pooled_dim if of.max_pooled else 0)
        return Network(
            name=name,
            clips=counts.clips + (counts.calibration_clips if calibrated else 0),
            frames=counts.frames + (counts.calibration_frames if calibrated else 0),
            feature_bytes=counts.clips * numbers * FLOAT_BYTES,
            sizes=tuple(part.size.times(factor) for part in of.parts),
            shards=math.ceil(counts.clips / shard_clips) if shard_clips else 1,
            kept=name in kept,
        )

    found = [network(CHECKPOINT, plan)]
    if controls:
        seeds = plan.protocol.control.seeds
        found += [network(control_name(seed), plan, calibrated=True) for seed in seeds]
        if plan.protocol.control.pixels:
            found.append(network(PIXELS, plan.pixels))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an evaluation will take. Times are in seconds, None without rates.

    Attributes:
        counts: Videos, clips and frames of one network.
        networks: The networks, the checkpoint first.
        batch_bytes: Memory of the weights and of one batch of clips.
        rates: The measured rates; None if nothing was measured yet.
        forwarders: Processes that decode and forward shards at the same time.
        scorers: Processes that score networks at the same time.
        shorter: Ways to make it shorter, each with the time that it would take then.
        unavailable: Benchmarks that cannot run on this dataset, each with the reason.
    """

    counts: Counts
    networks: tuple[Network, ...]
    batch_bytes: int
    rates: Rates | None = field(repr=False)
    forwarders: int = 1
    scorers: int = 1
    shorter: tuple[tuple[str, Span], ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[Network, ...]:
        """The networks whose results are not there yet."""
        return tuple(one for one in self.networks if not one.kept)

    @property
    def decode_s(self) -> Span | None:
        """Decoding for all networks, on one worker."""
        frames = sum(one.frames for one in self.missing)
        return self.rates.frame_s.times(frames) if self.rates else None

    @property
    def forward_s(self) -> Span | None:
        """Forwarding all networks, on one worker."""
        rates = self.rates
        return sum((_forwarding(rates, one) for one in self.missing), NOTHING) if rates else None

    @property
    def features_s(self) -> Span | None:
        """Decoding and forwarding all networks, on one worker."""
        rates = self.rates
        return sum((_features(rates, one) for one in self.missing), NOTHING) if rates else None

    @property
    def scoring_s(self) -> Span | None:
        """Scoring all networks, on one worker."""
        rates = self.rates
        return sum((_scoring(rates, one) for one in self.missing), NOTHING) if rates else None

    @property
    def total_s(self) -> Span | None:
        """Everything, on all workers: features first, then scores."""
        rates = self.rates
        if rates is None or self.scoring_s is None:
            return None
        total = Span(rates.once_s, rates.once_s)
        total += self.scoring_s.times(1 / min(self.scorers, len(self.missing)))
        shards = sum(one.shards for one in self.missing)
        for one in self.missing:
            features = _features(rates, one) + rates.shard_s.times(one.shards)
            total += features.times(1 / min(self.forwarders, shards))
        return total

    @property
    def disk_bytes(self) -> int:
        """Bytes of the features of all networks whose results are not there yet."""
        return sum(one.feature_bytes for one in self.missing)

    @property
    def largest_bytes(self) -> int:
        """Bytes of the features of the largest of these networks."""
        return max(one.feature_bytes for one in self.missing)

    @property
    def scoring_bytes(self) -> int:
        """Memory of the largest probe or ranking."""
        return max((size.memory_bytes for one in self.missing for size in one.sizes), default=0)

    @property
    def memory_bytes(self) -> int:
        """Memory of one process, about: what forwarding a batch took, and the largest probe or ranking."""
        measured = self.rates.process_bytes if self.rates else None
        return (measured or self.batch_bytes) + self.scoring_bytes

    @property
    def longest(self) -> str | None:
        """The part that takes longest: "decoding", "forwarding" or "scoring"."""
        parts = {"decoding": self.decode_s, "forwarding": self.forward_s, "scoring": self.scoring_s}
        known = {name: span.middle for name, span in parts.items() if span}
        return max(known, key=lambda name: known[name]) if known else None

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain values, ready for JSON. A range is `{"low": ..., "high": ...}` in seconds."""
        times = {name: getattr(self, name) for name in ("decode_s", "forward_s", "scoring_s", "total_s")}
        return {
            **asdict(self.counts),
            "networks": [
                {
                    "name": one.name,
                    "kept": one.kept,
                    "clips": one.clips,
                    "frames": one.frames,
                    "feature_bytes": one.feature_bytes,
                }
                for one in self.networks
            ],
            **{name: asdict(span) if span else None for name, span in times.items()},
            "longest": self.longest,
            "shorter": [{"how": how, "total_s": asdict(span)} for how, span in self.shorter],
            "disk_bytes": self.disk_bytes,
            "memory_bytes": self.memory_bytes,
            "unavailable": dict(self.unavailable),
            "rates": asdict(self.rates) if self.rates else None,
        }


def _forwarding(rates: Rates, one: Network) -> Span:
    return (rates.pixel_clip_s if one.name == PIXELS else rates.clip_s).times(one.clips)


def _features(rates: Rates, one: Network) -> Span:
    """Decoding and forwarding, which take turns, or overlap as far as the cores allow."""
    decode, forward = rates.frame_s.times(one.frames), _forwarding(rates, one)
    both = decode + forward
    return both if rates.in_turns else Span(max(decode.low, forward.low), both.high)


def _scoring(rates: Rates, one: Network) -> Span:
    unit_s = rates.pixel_unit_s if one.name == PIXELS and rates.pixel_unit_s else rates.unit_s
    return unit_s.times(one.units) + rates.fit_s.times(one.fits) + rates.pair_s.times(one.pairs)


def batch_bytes(spec: BackboneSpec, batch_clips: int) -> int:
    """Memory of a network's weights and of one batch of its clips, without activations.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> batch_bytes(BACKBONES["r3d"], 8) >> 20
    77
    """
    channels, frames, height, width = spec.clip_shape
    return FLOAT_BYTES * spec.num_parameters + PIXEL_BYTES * batch_clips * channels * frames * height * width
