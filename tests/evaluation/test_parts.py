"""Predictions from parts that were done apart: all of them, some of them, and by which machines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.running import parts_of, predictions_of
from vcp_core.features.bank import ShardFeatures

SPEC = BACKBONES["r3d_tiny"]


@pytest.fixture(scope="module")
def plan() -> EvaluationPlan:
    videos = tuple(
        Video(
            id=f"{label}/{number}.mp4",
            label=label,
            split="train" if number < 6 else "test",
            group=None,
            sha256="0" * 64,
            num_frames=120,
        )
        for label in ("a", "b")
        for number in range(9)
    )
    dataset = Dataset(name="made-up", split_name="1", root=Path("/nowhere"), videos=videos)
    return EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["quick-v1"], spec=SPEC)


@pytest.fixture(scope="module")
def features(plan: EvaluationPlan, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    folder = tmp_path_factory.mktemp("features")
    for shard in plan.shards:
        clips = tuple(clip for _, wanted in shard.videos for clip in wanted)
        rows = {stage: rng.standard_normal((len(clips), 6)).astype(np.float32) for stage in SPEC.stages}
        paths.append(folder / f"{shard.number}.safetensors")
        ShardFeatures(clips=clips, stages=rows).save(paths[-1])
    return paths


def test_parts_that_are_done_are_not_done_again(plan: EvaluationPlan, features: list[Path]) -> None:
    whole = predictions_of(plan, features)
    names = [str(part) for part in plan.parts]
    done = parts_of(plan, features, names[1:3])
    assert list(done) == names[1:3]
    units: list[int] = []
    assert predictions_of(plan, features, done, on_units=units.append) == whole
    left = [part.num_units for part in plan.parts if str(part) not in done]
    assert sum(units) == sum(left) < plan.num_predict_units


def test_without_anything_left_no_feature_is_read(plan: EvaluationPlan, features: list[Path]) -> None:
    done = parts_of(plan, features, [str(part) for part in plan.parts])
    assert predictions_of(plan, [Path("/nowhere/shard.safetensors")], done) == predictions_of(plan, features)
