"""Estimate evaluations from the last ones of the same backbone.

Clips are counted from the dataset's manifest, once for each dataset, protocol and kind of clip, in a sample
of at most `MOST_VIDEOS` videos. Only one thread counts at a time. So callers cannot keep the service busy by
asking for many estimates. Rates are read from the newest evaluations only (`records.repositories.rates`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from records import storage as objects
from records.kept import Kept
from records.models import DatasetRow, DatasetState, Evaluation, JobState, ProtocolRow
from records.repositories import datasets, rates, workers
from records.repositories.progress import SCORING_CLIP_S, SCORING_S
from records.repositories.rates import ScoreTime, ShardTime
from records.repositories.visibility import Visibility
from records.settings import Settings
from records.storage import Storage
from service.auth import Caller
from service.datasets import service as dataset_service
from service.estimates.schemas import EstimateOut, MeasuredOut, NetworkEstimateOut, QueueEstimateOut, SpanOut
from service.health import QUEUES
from service.problems import Conflict, ServiceError
from service.protocols import service as protocol_service
from service.visible import visible_to
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import StorageError, UnknownName
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.readings import reading_in_keys
from vcp_core.catalog.specs import PIXELS, BackboneSpec, pixels_like
from vcp_core.catalog.versions import engine
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.estimate import (
    Counts,
    Estimate,
    Network,
    batch_bytes,
    control_name,
    networks_of,
    sampled,
)
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.rates import NOTHING, Rates, Span
from vcp_core.features.shards import BATCH_CLIPS

MOST_VIDEOS = 2000  # of a sample; all videos of a smaller dataset are counted
WAIT_S = 2.0  # how long a request waits while another one counts
# Scoring took between a fifth of the rule of thumb (r3d at UCF101's size) and a little more than it
# (docs/decisions/2026-11-29-probes.md).
RULE_OF_THUMB = (0.2, 2.0)


class StillCounting(ServiceError):
    """Another request counts clips just now."""

    status = 503
    headers = {"Retry-After": "2"}  # noqa: RUF012


class _Sample(NamedTuple):
    """A sample of a dataset's videos, and how many videos each of them stands for."""

    dataset: Dataset
    factor: float


class _Counted(NamedTuple):
    """The counts and the networks of one dataset, protocol and kind of clip; which benchmarks cannot run."""

    counts: Counts
    networks: tuple[Network, ...]
    unavailable: Mapping[str, str]


class _Measured(NamedTuple):
    """Rates, and what they were taken from."""

    rates: Rates
    source: MeasuredOut
    batch_clips: int


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """An evaluation of a new checkpoint, for somebody who sees this much of the earlier ones."""

    visible: Visibility
    dataset: DatasetRow
    protocol: ProtocolRow
    numbers: Protocol
    spec: BackboneSpec
    variant: str | None
    input_spec: str | None


_counting = Lock()
_samples = Kept[UUID, _Sample](4)
_counted = Kept[tuple[object, ...], _Counted](200)
_first_looks = Kept[UUID, EstimateOut](500)


def estimate(
    session: Session,
    storage: Storage,
    settings: Settings,
    dataset: str,
    protocol: str,
    backbone: str,
    reader: Caller | None,
) -> EstimateOut:
    """Estimate the evaluation of a new checkpoint.

    Raises:
        UnknownName: If there is no such dataset, protocol or backbone.
        Conflict: If the dataset's videos are not counted yet, or the protocol is an older version's.
        StillCounting: If another request counts clips just now.
    """
    spec = BACKBONES[backbone]
    row = protocol_service.find(session, protocol)
    protocol_service.check_runnable(row)
    reason = why_not(session, dataset)
    found = datasets.named(session, dataset)
    if reason is not None or found is None:
        raise Conflict(reason or f"{dataset!r} was retired just now.")
    numbers = protocol_service.numbers_of(row)
    assert numbers is not None
    asked = _Asked(
        visible=visible_to(reader),
        dataset=found,
        protocol=row,
        numbers=numbers,
        spec=spec,
        variant=None,
        input_spec=None,
    )
    return _estimate(session, storage, settings, asked)


def why_not(session: Session, dataset: str) -> str | None:
    """Why a dataset's clips cannot be counted now; None if they can.

    Raises:
        UnknownName: If there is no such dataset.
    """
    found = datasets.named(session, dataset)
    if found is None and dataset not in dataset_service.known(session):
        raise UnknownName("dataset", dataset, dataset_service.known(session))
    if found is None:
        return f"The videos of {dataset} are not made yet. The first evaluation on it makes and counts them."
    if found.state is DatasetState.INDEXING:
        return f"The videos of {dataset} are being counted. Ask again when GET /v1/datasets says ready."
    if found.state is DatasetState.FAILED:
        return f"The dataset {dataset} cannot be used. GET /v1/datasets says why."
    return None


def before(
    session: Session, storage: Storage, settings: Settings, evaluation: Evaluation
) -> EstimateOut | None:
    """The estimate of an evaluation at the first look at it, which later looks repeat.

    None for a control, without a time, or before the checkpoint is read and the videos are counted.
    """
    kept = _first_looks.get(evaluation.id)
    if kept is not None:
        return kept
    checkpoint, numbers = evaluation.checkpoint, protocol_service.numbers_of(evaluation.protocol)
    backbone, variant, input_spec = checkpoint.backbone, checkpoint.variant, checkpoint.input_spec
    if numbers is None or evaluation.is_control or evaluation.dataset.state is not DatasetState.READY:
        return None
    if backbone is None or not checkpoint.is_known:
        return None
    # All readers of the evaluation get this estimate, so it is made of what all of them see.
    private = checkpoint.model is not None and checkpoint.model.private
    visible = Visibility(team=evaluation.team if private else None)
    if not rates.last_of(session, visible, backbone, variant, input_spec, numbers.precision):
        return None
    asked = _Asked(
        visible=visible,
        dataset=evaluation.dataset,
        protocol=evaluation.protocol,
        numbers=numbers,
        spec=checkpoint.spec,
        variant=variant,
        input_spec=input_spec,
    )
    try:
        found = _estimate(session, storage, settings, asked)
    except (StillCounting, StorageError):  # the page is there for the progress; the next look tries again
        return None
    if found.total_s is None:
        return None
    _first_looks.put(evaluation.id, found)
    return found


def _estimate(session: Session, storage: Storage, settings: Settings, asked: _Asked) -> EstimateOut:
    counted = _count(storage, settings, asked)
    kept = _kept(session, asked)
    seen, waiting = workers.seen(session), workers.job_counts(session)
    queues = [
        QueueEstimateOut(
            name=queue,
            workers=sum(queue in worker.queues for worker in seen),
            waiting=waiting.get((queue, JobState.QUEUED), 0),
        )
        for queue in QUEUES
    ]
    devices = {worker.device for worker in seen if "gpu" in worker.queues}
    measured = _measure(session, asked, counted, devices)
    takers = {queue.name: max(1, queue.workers) for queue in queues}
    found = Estimate(
        counts=counted.counts,
        networks=tuple(replace(one, kept=one.name in kept) for one in counted.networks),
        batch_bytes=batch_bytes(asked.spec, measured.batch_clips if measured else max(BATCH_CLIPS.values())),
        rates=measured.rates if measured else None,
        forwarders=takers["gpu"],
        scorers=takers["cpu"],
        unavailable=counted.unavailable,
    )
    return _shown(found, asked, queues, measured)


def _shown(
    found: Estimate, asked: _Asked, queues: list[QueueEstimateOut], measured: _Measured | None
) -> EstimateOut:
    name = asked.spec.name
    remarks = [f"no worker takes the {queue.name} queue now" for queue in queues if not queue.workers]
    if measured is None:
        how = f" in the form {asked.variant}" if asked.variant else ""
        how += f" with the input {asked.input_spec}" if asked.input_spec else ""
        how += "" if asked.numbers.precision == "fp32" else f" in {asked.numbers.precision}"
        remarks.insert(0, f"no evaluation of {name}{how} ran here yet")
    elif not measured.source.scoring:
        remarks.append(f"no scoring of {name} under {asked.protocol.name} was measured yet")
    remarks += [f"{benchmark}: {reason}" for benchmark, reason in found.unavailable.items()]
    spans = {what: getattr(found, what) for what in ("decode_s", "forward_s", "scoring_s", "total_s")}
    return EstimateOut(
        dataset=asked.dataset.name,
        protocol=asked.protocol.name,
        backbone=name,
        videos=found.counts.videos,
        clips=found.counts.clips,
        of_sample=found.counts.of_sample,
        networks=[NetworkEstimateOut.model_validate(one) for one in found.networks],
        **{what: SpanOut.model_validate(span) if span else None for what, span in spans.items()},
        longest=found.longest,
        disk_bytes=found.disk_bytes,
        memory_bytes=found.memory_bytes,
        queues=queues,
        measured=measured.source if measured else None,
        remarks=remarks,
    )


# --- counts ---


def _count(storage: Storage, settings: Settings, asked: _Asked) -> _Counted:
    """The counts, from memory or from the manifest.

    Raises:
        StillCounting: If another request counts just now.
    """
    network = (asked.spec.name, *reading_in_keys(asked.spec), input_of(asked.spec))
    key = (asked.dataset.id, asked.protocol.hash, network, settings.shard_clips)
    if (found := _counted.get(key)) is not None:
        return found
    with _one_at_a_time():
        if (found := _counted.get(key)) is not None:
            return found
        sample = _samples.get(asked.dataset.id)
        if sample is None:
            manifest = storage.get_bytes(
                objects.manifest_key(asked.dataset.id), sha256=asked.dataset.manifest_sha256
            ).decode()
            sample = _Sample(*sampled(Dataset.from_json(manifest), MOST_VIDEOS))
            _samples.put(asked.dataset.id, sample)
        plan = EvaluationPlan(dataset=sample.dataset, protocol=asked.numbers, spec=asked.spec)
        counts = Counts.of(plan, sample.factor)
        networks = networks_of(plan, counts, factor=sample.factor, shard_clips=settings.shard_clips)
        _counted.put(key, found := _Counted(counts, networks, plan.unavailable))
    return found


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _counting.acquire(timeout=WAIT_S):
        raise StillCounting("Another request counts clips just now. Ask again in a few seconds.")
    try:
        yield
    finally:
        _counting.release()


def _kept(session: Session, asked: _Asked) -> set[str]:
    """Names of the controls that are measured already."""
    if asked.dataset.fingerprint is None:
        return set()
    found = set()
    pixels = pixels_like(asked.spec)
    there = rates.controls_there(
        session, asked.visible, asked.dataset.fingerprint, asked.protocol.hash, engine()
    )
    for control in there:
        if not control.is_known:  # another version's
            continue
        spec, seed = control.spec, control.seed
        if seed is None and pixels_like(spec) == pixels:
            found.add(PIXELS)
        elif seed is not None and spec == asked.spec:
            found.add(control_name(seed))
    return found


# --- rates ---


def _measure(session: Session, asked: _Asked, counted: _Counted, devices: set[str]) -> _Measured | None:
    """Rates of the last evaluations; None if no shard of this backbone was forwarded yet."""
    precision = asked.numbers.precision
    visible = asked.visible
    last = rates.last_of(session, visible, asked.spec.name, asked.variant, asked.input_spec, precision)
    shards = _on(devices, rates.shard_times(session, last))
    if not shards:
        return None
    last_pixels = rates.last_of_pixels(session, visible, precision)
    pixels = _on(devices, rates.shard_times(session, last_pixels))
    scores, pixel_scores = (
        [one for one in rates.score_times(session, ids) if one.protocol_hash == asked.protocol.hash]
        for ids in (last, last_pixels)
    )
    clip_s = _clip_s(shards)
    clips, first, *_, final = counted.counts.clips, counted.networks[0], counted.networks[-1]
    return _Measured(
        rates=Rates(
            frame_s=Span.of([_of(one, "wait_s", "decoded_frames") for one in shards]),
            clip_s=clip_s,
            pixel_clip_s=_clip_s(pixels) if pixels else clip_s,
            unit_s=_unit_s(scores, clips, first.units) or _usual_unit_s(clips, first.units),
            pixel_unit_s=_unit_s(pixel_scores, clips, final.units) if final.name == PIXELS else None,
            shard_s=Span.of([_beside(one) for one in shards]),
            in_turns=True,
        ),
        source=MeasuredOut(
            evaluations=len(last),
            shards=len(shards),
            devices=sorted({one.device for one in shards}),
            scoring=bool(scores),
        ),
        batch_clips=max(int(one.counts.get("batch_clips", 0)) for one in shards) or BATCH_CLIPS["cpu"],
    )


def _on(devices: set[str], shards: Sequence[ShardTime]) -> list[ShardTime]:
    """The shards of these devices, or all of them if these devices forwarded none."""
    usable = [
        one for one in shards if all(one.counts.get(what) for what in ("decoded_frames", "forwarded_clips"))
    ]
    return [one for one in usable if one.device in devices] or usable


def _of(shard: ShardTime, seconds: str, pieces: str) -> float:
    return float(shard.counts[seconds]) / int(shard.counts[pieces])


def _clip_s(shards: Sequence[ShardTime]) -> Span:
    return Span.of([_of(one, "forward_s", "forwarded_clips") for one in shards])


def _beside(shard: ShardTime) -> float:
    """Seconds of a shard's job in which the network neither ran nor waited for frames."""
    return max(0.0, shard.job_s - float(shard.counts["wait_s"]) - float(shard.counts["forward_s"]))


def _unit_s(scores: Sequence[ScoreTime], clips: int, units: int) -> Span | None:
    """Seconds of a unit of a network's probes; None if no scoring was measured.

    Under one protocol, the units of a network's probes are as many times the clips on every dataset. So the
    time of a scoring for each clip gives the time of a unit.
    """
    for_each_clip = [one.job_s / one.num_clips for one in scores if one.num_clips]
    return Span.of(for_each_clip).times(clips / units) if units and for_each_clip else None


def _usual_unit_s(clips: int, units: int) -> Span:
    """Seconds of a unit by the rule of thumb for a scoring."""
    usual_s = SCORING_S + SCORING_CLIP_S * clips
    low, high = RULE_OF_THUMB
    return Span(low * usual_s / units, high * usual_s / units) if units else NOTHING
