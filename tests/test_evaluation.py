"""From a checkpoint and video files to results, in one process; real files, real networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_dataset
from tests.shared import SHARED, needs_shared
from vcp_core.catalog.errors import NotAvailable, UnknownName, VcpbenchError
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.datasets.manifest import Dataset

CI = Protocol.model_validate(
    {
        **load_protocol("quick-v1").model_dump(),
        "name": "ci",
        "control": {"seeds": (0,), "calibration_clips": 16},
    }
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("videos")
    return make_dataset(root, lengths=(100, 110, 120), num_classes=3, per_class=(4, 3))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "r3d_tiny.pt"
    torch.save({"state_dict": vcp_core.build("r3d_tiny", seed=5).state_dict()}, path)
    return path


def test_the_same_run_twice_gives_the_same_json_to_the_last_digit(dataset: Dataset, checkpoint: Path) -> None:
    first = vcp_core.evaluate(checkpoint, dataset, CI)
    again = vcp_core.evaluate(checkpoint, dataset, CI)  # meets the kept control
    assert first.to_json() == again.to_json()
    json.loads(first.to_json())
    provenance = first.provenance
    assert provenance.dataset["fingerprint"] == dataset.fingerprint
    assert provenance.protocol_hash == CI.hash
    assert str(checkpoint) in provenance.reproduce


def test_a_checkpoint_of_the_controls_own_weights_scores_exactly_what_the_control_scores(
    dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "control.pt"
    torch.save(vcp_core.random_weights("r3d_tiny", 0, dataset, CI).state_dict(), path)
    results = vcp_core.evaluate(path, dataset, CI)
    scores = [score for result in results.benchmarks for score in result.scores]
    assert len(scores) > 20
    for score in scores:
        assert score.value == score.control, score.metric
        assert score.lift == 0, score.metric


def test_results_answer_by_name_and_suggest(dataset: Dataset, checkpoint: Path) -> None:
    results = vcp_core.evaluate(checkpoint, dataset, CI, benchmarks=["retrieval"], controls=False)
    assert 0 <= results.score("retrieval.top1").value <= 100
    assert results.score("retrieval.top1").control is None
    with pytest.raises(UnknownName, match=r"Did you mean 'retrieval\.top"):
        results.score("retrieval.topp1")


def test_progress_covers_every_clip_of_checkpoint_and_control(dataset: Dataset, checkpoint: Path) -> None:
    told: dict[str, tuple[int, int]] = {}
    results = vcp_core.evaluate(
        checkpoint, dataset, CI, progress=lambda stage, done, total: told.update({stage: (done, total)})
    )
    assert told["features"] == (results.provenance.num_clips, results.provenance.num_clips)
    assert told["control 0"] == told["features"]


def test_nothing_is_left_in_the_work_folder(dataset: Dataset, checkpoint: Path, tmp_path: Path) -> None:
    vcp_core.evaluate(checkpoint, dataset, CI, benchmarks=["retrieval"], controls=False)
    assert list((tmp_path / "cache" / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"benchmarks": ["cloz"]}, "Did you mean 'cloze'"),
        ({"device": "gpu"}, "No device 'gpu'"),
        ({"device": "cuda:99"}, "torch sees"),
        ({"protocol": "quik-v1"}, "Did you mean 'quick-v1'"),
        ({"backbone": "r3d_tinny"}, "Did you mean 'r3d_tiny'"),
    ],
)
def test_unknown_names_are_said_before_any_work(
    dataset: Dataset, checkpoint: Path, options: dict[str, object], says: str
) -> None:
    arguments: dict[str, object] = {"protocol": CI, **options}
    with pytest.raises(VcpbenchError) as error:
        vcp_core.evaluate(checkpoint, dataset, **arguments)  # type: ignore[arg-type]
    assert says in str(error.value)


@needs_shared
def test_gestures_run_whole_and_say_how_little_nine_videos_prove(tmp_path: Path) -> None:
    gestures = vcp_core.load_dataset(SHARED / "gestures", test_groups=("P3",))
    checkpoint = tmp_path / "r3d_tiny.pt"
    torch.save(vcp_core.build("r3d_tiny", seed=5).state_dict(), checkpoint)
    results = vcp_core.evaluate(checkpoint, gestures, CI, controls=False)
    cloze = results.benchmark("cloze")
    assert cloze.unavailable == "not available: 0 of 9 test videos have 96 frames"
    with pytest.raises(NotAvailable, match="0 of 9 test videos"):
        results.score("cloze.accuracy")
    top1 = results.score("recognition.top1")
    assert (top1.num_videos, top1.units) == (9, "video")
    assert top1.high - top1.low > 30
    assert any("group" in warning for warning in results.benchmark("recognition").warnings)


@needs_shared
def test_gestures_run_cloze_under_a_protocol_with_shorter_gaps(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('base = "quick-v1"\n[cloze]\ngap = 0\nremote_gap = 0\n')
    gestures = vcp_core.load_dataset(SHARED / "gestures", test_groups=("P3",))
    checkpoint = tmp_path / "r3d_tiny.pt"
    torch.save(vcp_core.build("r3d_tiny", seed=5).state_dict(), checkpoint)
    results = vcp_core.evaluate(checkpoint, gestures, path, controls=False, benchmarks=["cloze"])
    assert results.score("cloze.accuracy").num_videos >= 8
