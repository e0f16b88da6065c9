"""From a checkpoint and video files to results, in one process; real files, real networks."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

import vcp_core
from tests.datasets_on_disk import make_dataset
from tests.patience import until
from tests.shared import SHARED, needs_shared
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import (
    InputError,
    NonFiniteFeatures,
    NotACheckpoint,
    NotAvailable,
    UnknownName,
    VcpbenchError,
)
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.checkpoints.origin import METADATA
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation import evaluate
from vcp_core.evaluation import machine as facts
from vcp_core.evaluation.evaluate import _command
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.results.types import BenchmarkResult

pytestmark = pytest.mark.slow

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


def test_a_checkpoint_that_is_not_there_is_told_before_a_dataset_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotACheckpoint, match="no such file"):
        vcp_core.evaluate(tmp_path / "gone.pt", tmp_path / "nowhere")


@pytest.mark.long
def test_the_same_run_twice_gives_the_same_json_to_the_last_digit(dataset: Dataset, checkpoint: Path) -> None:
    first = vcp_core.evaluate(checkpoint, dataset, CI)
    again = vcp_core.evaluate(checkpoint, dataset, CI)  # meets the kept control
    assert first.to_json() == again.to_json()
    json.loads(first.to_json())
    provenance = first.provenance
    assert provenance.dataset["fingerprint"] == dataset.fingerprint
    assert provenance.protocol_hash == CI.hash
    for metric in ("cloze.accuracy", "cloze.recall.remote", "recognition.top1", "retrieval.top1"):
        assert first.score(metric).pixels is not None


def test_a_protocol_may_do_without_pixels(dataset: Dataset, checkpoint: Path) -> None:
    control = {"seeds": (0,), "calibration_clips": 16, "pixels": False}
    without = Protocol.model_validate({**CI.model_dump(), "control": control})
    assert without.hash != CI.hash
    results = vcp_core.evaluate(checkpoint, dataset, without, benchmarks=["retrieval"])
    assert results.score("retrieval.top1").pixels is None
    assert results.score("retrieval.top1").control is not None


@pytest.mark.long
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


def test_a_control_on_fewer_clips_than_the_protocol_wants_is_told(dataset: Dataset, checkpoint: Path) -> None:
    most = sum(video.num_frames - 15 for video in dataset.side("train"))
    for wanted, has in ((16, 16), (10_000, most - most % 16)):
        control = {"seeds": (0,), "calibration_clips": wanted}
        protocol = Protocol.model_validate({**CI.model_dump(), "control": control})
        plan = EvaluationPlan(
            dataset=dataset, protocol=protocol, spec=BACKBONES["r3d"], benchmarks=("retrieval",)
        )
        with_controls = BenchmarkResult(benchmark="retrieval", controls={"0": {"retrieval.top1": 1.0}})
        results = plan.results((with_controls,), checkpoint={}, versions={}, device="", reproduce="")
        assert results.provenance.calibration_clips == has
        told = any(f"on {has} clips instead of {wanted}" in said for said in results.warnings)
        assert told == (has < wanted)
    without = plan.results(
        (BenchmarkResult(benchmark="retrieval"),), checkpoint={}, versions={}, device="", reproduce=""
    )
    assert without.provenance.calibration_clips is None


def test_results_answer_by_name_and_suggest(dataset: Dataset, checkpoint: Path) -> None:
    results = vcp_core.evaluate(checkpoint, dataset, CI, benchmarks=["retrieval"], controls=False)
    assert 0 <= results.score("retrieval.top1").value <= 100
    assert results.score("retrieval.top1").control is None
    with pytest.raises(UnknownName, match=r"Did you mean 'retrieval\.top"):
        results.score("retrieval.topp1")


@pytest.mark.long
def test_the_command_that_reproduces_names_all_that_the_caller_chose(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path / "my clips", lengths=(20,), num_classes=2, per_class=(2, 1))
    rows = [f"class{c}/{n}.mp4,class{c},P{n}" for c in range(2) for n in range(3)]
    Path("table.csv").write_text("\n".join(["path,label,group", *rows]))
    Path("short.toml").write_text('base = "quick-v1"\n[grid]\nnum_clips = 1\n')
    loaded = vcp_core.load_dataset("my clips", csv="table.csv", test_groups=("P2",))
    chosen = {"benchmarks": ["retrieval"], "controls": False, "device": "cpu", "backbone": "r3d_tiny"}
    chosen |= {
        "pretrained_on": "my clips, kinetics400",
        "prefix": "state_dict.",
        "input_spec": "frames=8,crop=48",
    }
    results = vcp_core.evaluate(checkpoint, loaded, "short.toml", **chosen)  # type: ignore[arg-type]
    assert results.provenance.pretrained_on == "my clips, kinetics400"
    assert [said for said in results.warnings if said.startswith("pretrained on my clips")]
    words = shlex.split(results.provenance.reproduce or "")
    assert words[0] == "vcpbench"
    command = [str(Path(sys.executable).with_name("vcpbench")), *words[1:], "--json", "-"]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.stdout == results.to_json(), again.stderr


def test_a_file_that_says_what_it_was_trained_on_needs_nobody_to_declare_it(
    dataset: Dataset, tmp_path: Path
) -> None:
    said = {"run": "r", "step": 1, "epoch": 1, "task": "pretrain", "backbone": "r3d_tiny"}
    trained = {"dataset": dataset.name, "dataset_split": "test groups P9", "dataset_fingerprint": "ab" * 32}
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(
        vcp_core.build("r3d_tiny", seed=5).state_dict(), path, metadata={METADATA: json.dumps(said | trained)}
    )
    results = vcp_core.evaluate(path, dataset, CI, benchmarks=["retrieval"], controls=False)
    assert results.provenance.pretrained_on == f"{dataset.name}:test groups P9"
    (warning,) = [one for one in results.warnings if one.startswith("pretrained on")]
    assert "training side of split test groups P9" in warning


@pytest.mark.long
def test_a_declared_input_is_what_the_network_and_its_controls_get(
    dataset: Dataset, checkpoint: Path, tmp_path: Path
) -> None:
    declared = "frames=8,stride=2,crop=48,mean=0.5,std=0.25"
    native = vcp_core.evaluate(checkpoint, dataset, CI, benchmarks=["retrieval"])
    found = vcp_core.evaluate(checkpoint, dataset, CI, benchmarks=["retrieval"], input_spec=declared)
    full = "frames=8,stride=2,resize=64x86,crop=48,mean=0.5,std=0.25"
    assert found.provenance.input_spec == full
    assert native.provenance.input_spec == "frames=16,stride=1,resize=64x86,crop=56,mean=0,std=1"
    assert found.benchmark("retrieval").controls != native.benchmark("retrieval").controls
    random = vcp_core.random_weights("r3d_tiny", 0, dataset, CI, input_spec=declared)
    torch.save(random.state_dict(), tmp_path / "random.pt")
    again = vcp_core.evaluate(
        tmp_path / "random.pt", dataset, CI, benchmarks=["retrieval"], input_spec=declared
    )
    for score in again.benchmark("retrieval").scores:
        assert score.value == score.control, score.metric


def test_an_input_that_the_network_cannot_take_is_refused(dataset: Dataset, checkpoint: Path) -> None:
    with pytest.raises(InputError, match="does not fit into frames of 64 x 86"):
        vcp_core.evaluate(checkpoint, dataset, CI, input_spec="crop=112")


def test_what_was_made_in_python_has_no_command_that_reproduces(dataset: Dataset) -> None:
    for made, protocol in ((dataset, "quick-v1"), (dataclasses.replace(dataset, source=("x",)), CI)):
        assert _command("a.pt", made, protocol, True) is None
    named = dataclasses.replace(dataset, source=("x",))
    command = _command("a.pt", named, load_protocol("quick-v1"), True)
    assert command == "vcpbench local a.pt --dataset x --protocol quick-v1"


def test_a_kept_control_is_another_one_when_any_version_that_touches_a_digit_changes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = EvaluationPlan(dataset=dataset, protocol=CI, spec=BACKBONES["r3d_tiny"])
    cpu, now = torch.device("cpu"), facts.versions()
    keys = {evaluate.control_file(plan, 0, cpu)}
    assert keys == {evaluate.control_file(plan, 0, cpu)}
    for name in now:
        monkeypatch.setattr(evaluate, "versions", lambda name=name: {**now, name: "0.0"})
        keys.add(evaluate.control_file(plan, 0, cpu))
    assert {"numpy", "scipy", "libavcodec", "engine"} <= set(now)
    assert len(keys) == 1 + len(now)


@pytest.fixture
def other_threads() -> Iterator[int]:
    """As many torch threads as nobody set."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield before + 1
    torch.set_num_threads(before)


def test_threads_are_kept_with_the_results_and_make_another_control(
    dataset: Dataset, checkpoint: Path, other_threads: int
) -> None:
    results = vcp_core.evaluate(
        checkpoint, dataset, CI, benchmarks=["retrieval"], controls=False, device="cpu"
    )
    machine = results.provenance.machine
    assert (machine["network_threads"], machine["batch_clips"]) == (other_threads, 8)
    assert set(machine) == {"network_threads", "batch_clips", "blas_threads"}
    assert str(other_threads) not in results.provenance.device.split()
    plan, cpu = EvaluationPlan(dataset=dataset, protocol=CI, spec=BACKBONES["r3d_tiny"]), torch.device("cpu")
    with_more = evaluate.control_file(plan, 0, cpu)
    torch.set_num_threads(other_threads - 1)
    assert evaluate.control_file(plan, 0, cpu) != with_more


@pytest.mark.long
def test_progress_covers_all_that_takes_long_and_every_stage_reaches_its_end(
    dataset: Dataset, checkpoint: Path
) -> None:
    told: dict[str, tuple[int, int]] = {}
    results = vcp_core.evaluate(
        checkpoint, dataset, CI, progress=lambda stage, done, total: told.update({stage: (done, total)})
    )
    clips = results.provenance.num_clips
    assert told["forwarding clips"] == told["forwarding clips of control 0"] == (clips, clips)
    assert list(told) == [
        "reading the checkpoint",
        "forwarding clips",
        "fitting probes",
        "calibrating control 0",
        "forwarding clips of control 0",
        "fitting probes of control 0",
        "forwarding clips of pixels",
        "fitting probes of pixels",
        "computing intervals",
    ]
    assert [stage for stage, (done, total) in told.items() if done != total] == []


def test_a_bad_checkpoint_ends_an_evaluation_while_the_dataset_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(dataset: str, *, progress: Callable[[int, int], None]) -> Dataset:
        until(lambda: progress(0, 1), every_s=0.01)  # it would never end by itself
        raise AssertionError

    monkeypatch.setattr(evaluate, "load_dataset", load)
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(NotACheckpoint, match=r"text\.pt"):
        vcp_core.evaluate(tmp_path / "text.pt", "playground", CI)


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


@pytest.mark.parametrize("benchmark", ["recognition", "retrieval"])
def test_a_checkpoint_whose_features_are_not_finite_gets_an_error_and_no_score(
    dataset: Dataset, tmp_path: Path, benchmark: str
) -> None:
    state = vcp_core.build("r3d_tiny", seed=5).state_dict()
    torch.save({k: v * 1e30 if "conv" in k else v for k, v in state.items()}, tmp_path / "huge.pt")
    with pytest.raises(NonFiniteFeatures, match="NaN or infinity after"):
        vcp_core.evaluate(tmp_path / "huge.pt", dataset, CI, benchmarks=[benchmark], controls=False)


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
