"""The plan of one evaluation: which benchmarks can run, which clips they need, results from their features.

No torch: a service can plan, score and compare without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from vcp_core.benchmarks import Benchmark, load_benchmark
from vcp_core.benchmarks.parts import Part, join
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.leaks import declaration, leak_warnings
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.readings import assumed
from vcp_core.catalog.specs import BackboneSpec, pixels_like
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.calibration import calibration_shard
from vcp_core.features.bank import FeatureBank
from vcp_core.features.shards import Clip, Shard, cut_shards
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import BenchmarkResult, Predictions, Provenance, Results
from vcp_core.scoring.scores import score_benchmark


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """A dataset, a protocol, a backbone, and the benchmarks to run on them.

    Attributes:
        dataset: The videos.
        protocol: The numbers of the evaluation.
        spec: The catalog's entry of the backbone.
        benchmarks: Names, in the order of the results.

    Raises:
        UnknownName: If there is no such benchmark.
        ProtocolError: If the protocol needs another version of frame decoding, or a number of it is above its
            ceiling.
    """

    dataset: Dataset
    protocol: Protocol
    spec: BackboneSpec
    benchmarks: tuple[str, ...] = tuple(BENCHMARKS)

    def __post_init__(self) -> None:
        self.protocol.check()
        for name in self.benchmarks:
            BENCHMARKS[name]

    @cached_property
    def unavailable(self) -> dict[str, str]:
        """The benchmarks that cannot run on this dataset, each with the reason."""
        reasons = {
            name: load_benchmark(name).availability(self.dataset, self.protocol, self.spec)
            for name in self.benchmarks
        }
        return {name: reason for name, reason in reasons.items() if reason}

    @cached_property
    def active(self) -> dict[str, Benchmark]:
        """The benchmarks that run."""
        return {name: load_benchmark(name) for name in self.benchmarks if name not in self.unavailable}

    def clips(self, video: Video) -> Iterable[Clip]:
        """The clips that the benchmarks need of a video. A clip may occur several times."""
        for benchmark in self.active.values():
            yield from benchmark.clips(video, self.protocol, self.spec)

    @cached_property
    def shards(self) -> list[Shard]:
        """All distinct clips, cut into shards."""
        return cut_shards(self.dataset.videos, self.clips)

    @property
    def max_pooled(self) -> bool:
        """Whether any active benchmark uses the papers' retrieval feature."""
        wanting = [name for name in self.benchmarks if BENCHMARKS[name].max_pooled(self.protocol)]
        return any(name in self.active for name in wanting)

    @cached_property
    def calibration(self) -> Shard:
        """The training clips that calibrate random weights."""
        return calibration_shard(self.dataset, self.protocol, self.spec)

    @cached_property
    def num_clips(self) -> int:
        """Distinct clips, each of which is one forward pass."""
        # Not by the shards: all clips of a large plan would be in memory at once.
        return sum(len(set(self.clips(video))) for video in self.dataset.videos)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What can be fitted or ranked apart, in the order of the results."""
        return tuple(
            part
            for benchmark in self.active.values()
            for part in benchmark.parts(self.dataset, self.protocol, self.spec)
        )

    @property
    def num_predict_units(self) -> int:
        """How many units of work `predict` reports."""
        return sum(part.num_units for part in self.parts)

    @property
    def num_score_units(self) -> int:
        """How many units of work `score` reports: one for the intervals of each benchmark."""
        return len(self.active)

    def predict_parts(
        self, bank: FeatureBank, parts: Iterable[Part], *, on_units: OnUnits = ignore
    ) -> dict[str, Predictions]:
        """The predictions of some parts, by the parts' names (`str(part)`).

        Args:
            bank: The features.
            parts: Some of `self.parts`.
            on_units: Called with the number of units of work done since the last call.
        """
        return {
            str(part): self.active[part.benchmark].predict(
                bank, self.dataset, self.protocol, self.spec, part.name, on_units=on_units
            )
            for part in parts
        }

    def join(self, predicted: Mapping[str, Predictions]) -> dict[str, Predictions]:
        """Every benchmark's predictions, from those of all parts by the parts' names."""
        return {
            name: join([predicted[str(part)] for part in self.parts if part.benchmark == name])
            for name in self.active
        }

    def predict(self, bank: FeatureBank, *, on_units: OnUnits = ignore) -> dict[str, Predictions]:
        """Every benchmark's predictions, from the features of all clips.

        Args:
            bank: The features.
            on_units: Called with the number of units of work done since the last call.
        """
        return self.join(self.predict_parts(bank, self.parts, on_units=on_units))

    @cached_property
    def pixels(self) -> EvaluationPlan:
        """The same plan for the pixel baseline."""
        return replace(self, spec=pixels_like(self.spec))

    def score(
        self,
        predictions: Mapping[str, Predictions],
        controls: Mapping[str, Mapping[str, Predictions]],
        pixels: Mapping[str, Predictions] | None = None,
        *,
        on_units: OnUnits = ignore,
    ) -> tuple[BenchmarkResult, ...]:
        """Scores of every benchmark.

        Args:
            predictions: Predictions of the checkpoint, by benchmark.
            controls: Predictions of random weights, by seed and benchmark.
            pixels: Predictions of the pixel baseline, by benchmark.
            on_units: Called with the number of units of work done since the last call.
        """
        scored = []
        for name in self.benchmarks:
            scored.append(
                score_benchmark(
                    name,
                    predictions.get(name),
                    {seed: found[name] for seed, found in controls.items() if name in found},
                    pixels=(pixels or {}).get(name),
                    unavailable=self.unavailable.get(name),
                    protocol=self.protocol,
                )
            )
            if name in self.active:
                on_units(1)
        return tuple(scored)

    def results(
        self,
        benchmarks: tuple[BenchmarkResult, ...],
        *,
        checkpoint: Mapping[str, object],
        versions: Mapping[str, str],
        device: str,
        reproduce: str | None,
        machine: Mapping[str, int | str] | None = None,
        pretrained_on: str | None = None,
        own_name: str | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Results:
        """Join scores with everything that determined them (PROTOCOL 10).

        Args:
            benchmarks: The results of `score`.
            checkpoint: The checkpoint's report, as plain values.
            versions: Versions of all software that can change a digit.
            device: The device that the network ran on, in words.
            reproduce: The command that gives these results again, if there is one.
            machine: Other facts that decide the last digits (`Provenance.machine`).
            pretrained_on: The training data that the checkpoint's makers declare (`vcp_core.catalog.leaks`).
                If None, the origin in the checkpoint's report is used.
            own_name: The dataset's name in the catalog, if it is registered under another name.
            warnings: Warnings in addition to the dataset's.
        """
        dataset, wanted = self.dataset, self.protocol.control.calibration_clips
        origin = cast(Mapping[str, object] | None, checkpoint.get("origin"))
        if pretrained_on is None and origin is not None:
            pretrained_on = declaration(origin)
        warnings += leak_warnings(
            pretrained_on,
            dataset=dataset.name,
            split=dataset.split_name,
            fingerprint=dataset.fingerprint,
            own_name=own_name,
            origin=origin,
        )
        calibration_clips = None
        if any(result.controls for result in benchmarks):
            calibration_clips = self.calibration.num_clips
            if calibration_clips < wanted:
                warnings += (
                    f"random weights were calibrated on {calibration_clips} clips instead of {wanted}",
                )
        return Results(
            benchmarks=benchmarks,
            warnings=dataset.warnings + warnings,
            provenance=Provenance(
                checkpoint=dict(checkpoint),
                backbone=self.spec.name,
                dataset=self._dataset_facts(own_name),
                protocol_name=self.protocol.name,
                protocol_hash=self.protocol.hash,
                protocol=self.protocol,
                versions=dict(versions),
                device=device,
                machine=dict(machine or {}),
                num_clips=self.num_clips,
                calibration_clips=calibration_clips,
                pretrained_on=pretrained_on,
                input_spec=input_of(self.spec),
                scheme=self.spec.facts.name,
                scheme_version=self.spec.facts.version,
                variant=self.spec.variant.name if self.spec.variant else None,
                assumed=assumed(self.spec),
                reproduce=reproduce,
            ),
        )

    def _dataset_facts(self, own_name: str | None) -> dict[str, object]:
        dataset = self.dataset
        return {
            "name": dataset.name,
            **({"own_name": own_name} if own_name not in (None, dataset.name) else {}),
            "split": dataset.split_name,
            "fingerprint": dataset.fingerprint,
            "licence": dataset.licence,
            "classes": len(dataset.classes),
            "videos": {split: len(dataset.side(split)) for split in ("train", "test")},
            "looped": sum(video.num_frames < self.spec.clip_span for video in dataset.videos),
            "left_out": [{"id": video.id, "reason": video.reason} for video in dataset.left_out],
        }
