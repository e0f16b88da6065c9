"""The papers' retrieval feature: the last stage max-pooled by (1, 2, 2), from the same forward pass."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import vcp_core
from records.models import Checkpoint, CheckpointState, Evaluation, Origin, ProtocolRow
from tests.datasets_on_disk import make_dataset
from vcp_core.backbones import build
from vcp_core.benchmarks import grid, load_benchmark, predict
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank, ShardFeatures
from vcp_core.features.extraction import extract
from vcp_core.features.shards import cut_shards
from worker.tasks.plan import feature_space

pytestmark = pytest.mark.slow

QUICK, PAPER = PROTOCOLS["quick-v1"], PROTOCOLS["paper-v1"]
BOTH = Protocol.model_validate(
    {**QUICK.model_dump(), "name": "both", "retrieval": PAPER.retrieval.model_dump()}
)
SPEC = BACKBONES["r3d_tiny"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=(30, 40))


def slow_twin(map_CTHW: np.ndarray) -> list[float]:
    channels, frames, height, width = map_CTHW.shape
    return [
        map_CTHW[c, t, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2].max()
        for c in range(channels)
        for t in range(frames)
        for h in range(height // 2)
        for w in range(width // 2)
    ]


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
def test_the_vcop_family_gives_the_papers_9216_numbers(name: str) -> None:
    backbone = build(name, seed=0).eval().to("meta")  # shapes without numbers
    stages_BD = backbone.stages(torch.empty(1, 3, 16, 112, 112, device="meta"), max_pooled=True)
    assert stages_BD[backbone.spec.max_pooled_stage].shape == (1, 9216)


def test_the_feature_is_the_maximum_of_every_two_by_two_and_costs_the_averages_no_digit() -> None:
    backbone = build("r3d_tiny", seed=0).eval()
    clips_BCTHW = torch.rand(2, 3, 16, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        last_BCTHW = backbone.forward_stages(clips_BCTHW)[-1]
        without = backbone.stages(clips_BCTHW)
        found = backbone.stages(clips_BCTHW, max_pooled=True)
    feature_BD = found.pop(SPEC.max_pooled_stage).numpy()
    for row_D, map_CTHW in zip(feature_BD, last_BCTHW.numpy(), strict=True):
        np.testing.assert_array_equal(row_D, slow_twin(map_CTHW))
    assert set(found) == set(without)
    assert all(torch.equal(found[name], without[name]) for name in without)


@pytest.fixture(scope="module")
def bank(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> FeatureBank:
    """Features of the dataset's grid clips by r3d_tiny of seed 5, in several shards."""
    folder = tmp_path_factory.mktemp("features")
    shards = cut_shards(dataset.videos, lambda video: grid.clips(video, QUICK, SPEC), max_clips=7)
    for done in extract(build("r3d_tiny", seed=5), dataset, shards, device=CPU, max_pooled=True):
        done.save(folder / f"{len(list(folder.iterdir()))}.safetensors")
    return FeatureBank(folder.iterdir())


def test_a_videos_feature_is_the_mean_of_its_clips_whatever_is_read_at_a_time(
    dataset: Dataset, bank: FeatureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = SPEC.max_pooled_stage
    whole = grid.video_means(bank, dataset.videos, QUICK, SPEC, stage=stage)
    monkeypatch.setattr(grid, "CHUNK_VIDEOS", 2)
    np.testing.assert_array_equal(grid.video_means(bank, dataset.videos, QUICK, SPEC, stage=stage), whole)
    for video, row_D in zip(dataset.videos, whole, strict=True):
        clips_MD = bank.rows(grid.grid_clips(video, QUICK, SPEC), stage).astype(np.float64)
        np.testing.assert_array_equal(row_D, (sum(clips_MD) / len(clips_MD)).astype(np.float32))


def test_a_protocol_that_asks_for_both_scores_both_and_changes_no_digit_of_the_pooled_one(
    dataset: Dataset, bank: FeatureBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    torch.save(build("r3d_tiny", seed=5).state_dict(), tmp_path / "m.pt")
    both = vcp_core.evaluate(tmp_path / "m.pt", dataset, BOTH, benchmarks=["retrieval"], controls=False)
    plain = EvaluationPlan(dataset=dataset, protocol=QUICK, spec=SPEC, benchmarks=("retrieval",))
    own, other = plain.score(plain.predict(bank), {})[0], both.benchmark("retrieval")
    assert own.scores == other.scores[: len(own.scores)]
    added = [score.metric for score in other.scores[len(own.scores) :]]
    assert added == [score.metric.replace("retrieval.", "retrieval.max.") for score in own.scores]
    assert {"retrieval.max.top1", "retrieval.max.map"} <= set(added)
    assert [table.name for table in other.tables] == ["retrieval.per_class", "retrieval.max.per_class"]
    assert other.predictions is not None
    assert all(len(row) == 4 for row in other.predictions.column("max.neighbours"))


def test_the_two_features_are_ranked_apart(tmp_path: Path) -> None:
    videos = tuple(
        dataclasses.replace(video, num_frames=40)
        for video in make_dataset(tmp_path, lengths=(1,), per_class=(3, 2)).videos
    )
    dataset = Dataset(name="made-up", split_name="1", root=tmp_path, videos=videos)
    benchmark = load_benchmark("retrieval")
    clips = [(v, clip) for v in videos for clip in sorted(benchmark.clips(v, BOTH, SPEC))]
    by_class = np.array([np.eye(2)[int(v.label[-1])] for v, _ in clips], np.float32)
    alike = np.ones((len(clips), 2), np.float32)
    path = tmp_path / "f.safetensors"
    stages = {SPEC.stages[-1]: alike, SPEC.max_pooled_stage: by_class}
    ShardFeatures(clips=tuple(clip for _, clip in clips), stages=stages).save(path)
    predictions = predict(benchmark, FeatureBank([path]), dataset, BOTH, SPEC)
    values = {metric.name: metric.value(4) for metric in benchmark.metrics(predictions)}
    assert values["retrieval.top1"] == 50
    assert values["retrieval.max.top1"] == values["retrieval.max.map"] == 100


def test_only_a_run_of_retrieval_keeps_the_large_feature(dataset: Dataset) -> None:
    def kept(protocol: Protocol, *benchmarks: str) -> bool:
        return EvaluationPlan(dataset=dataset, protocol=protocol, spec=SPEC, benchmarks=benchmarks).max_pooled

    assert kept(BOTH, "recognition", "retrieval")
    assert not kept(BOTH, "recognition")
    assert not kept(QUICK, "retrieval")


def test_stored_features_are_other_objects_when_the_papers_feature_is_among_them(
    dataset: Dataset,
) -> None:
    standard = PROTOCOLS["standard-v1"]

    def space(protocol: Protocol) -> str:
        made = EvaluationPlan(dataset=dataset, protocol=protocol, spec=BACKBONES["r3d"])
        stored = ProtocolRow(hash=protocol.hash, name=protocol.name, content=protocol.model_dump(mode="json"))
        return feature_space(Evaluation(checkpoint=checkpoint, protocol=stored), max_pooled=made.max_pooled)

    checkpoint = Checkpoint(
        origin=Origin.UPLOAD, state=CheckpointState.READY, weights_sha256="0" * 64, backbone="r3d"
    )
    assert space(PAPER) != space(standard)
    assert space(QUICK) == space(standard)
