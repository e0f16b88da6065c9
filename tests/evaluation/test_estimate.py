"""What an evaluation will take: the arithmetic by hand, and the counts beside those of a real run."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from bench import estimates
from tests.datasets_on_disk import make_dataset
from vcp_core.benchmarks import cloze, recognition, retrieval
from vcp_core.benchmarks.sizes import Probe, Ranking
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import NotACheckpoint, UnknownName, VcpbenchError
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, load_protocol
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.estimate import (
    Counts,
    Estimate,
    Network,
    batch_bytes,
    decoded_frames,
    networks_of,
    sampled,
)
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.rates import Rates, Span
from vcp_core.evaluation.running import pixel_network, predictions_of, shard_features
from vcp_core.features.reading import Counters
from vcp_core.probes.rows import CHUNK_BYTES
from vcp_core.probes.solver import fit_bytes
from vcp_core.video.clips import Draws

QUICK, SPEC, CPU = PROTOCOLS["quick-v1"], BACKBONES["r3d_tiny"], torch.device("cpu")
SMALL = Protocol.model_validate(
    {**QUICK.model_dump(), "name": "small", "control": {"seeds": (0,), "calibration_clips": 16}}
)
NETWORK = Network(
    name="checkpoint",
    clips=100,
    frames=1000,
    feature_bytes=2000,
    sizes=(
        Probe(rows=50, columns=10, classes=5, fits=4, held=0),
        Ranking(queries=5, gallery=20, columns=10),
    ),
    shards=1,
)
PIXELS = dataclasses.replace(NETWORK, name="pixels", sizes=(), feature_bytes=3000)
RATES = Rates(
    frame_s=Span(0.001, 0.002),
    clip_s=Span(0.1, 0.2),
    pixel_clip_s=Span(0.01, 0.01),
    unit_s=Span(0.001, 0.004),
    fit_s=Span(0.5, 1.0),
    pair_s=Span(0.01, 0.02),
    once_s=3.0,
)


def of(*networks: Network, **more: Any) -> Estimate:
    counts = Counts(videos=10, clips=100, frames=1000, calibration_clips=16, calibration_frames=300)
    values: dict[str, Any] = {"rates": RATES, "batch_bytes": 7, **more}
    return Estimate(counts=counts, networks=networks, **values)


def close(span: Span | None, low: float, high: float) -> None:
    assert span is not None
    assert (span.low, span.high) == (pytest.approx(low), pytest.approx(high))


# --- arithmetic, by hand ---


def test_the_parts_add_up_as_by_hand() -> None:
    found = of(NETWORK, PIXELS)
    close(found.decode_s, 2 * 1000 * 0.001, 2 * 1000 * 0.002)
    close(found.forward_s, 100 * 0.1 + 100 * 0.01, 100 * 0.2 + 100 * 0.01)
    # 50 rows x 10 columns x 4 fits, 4 fits, 5 x 20 pairs
    close(found.scoring_s, 2000 * 0.001 + 4 * 0.5 + 100 * 0.01, 2000 * 0.004 + 4 * 1.0 + 100 * 0.02)
    # Reading, scoring, and of each network at least the longer of decoding and forwarding, at most both.
    close(found.total_s, 3 + 5 + (10 + 1), 3 + 14 + (20 + 2) + (1 + 2))
    assert found.longest == "forwarding"


def test_where_decoding_and_forwarding_take_turns_their_times_add_up() -> None:
    in_turns = dataclasses.replace(RATES, in_turns=True)
    close(
        of(NETWORK, PIXELS, rates=in_turns).total_s, 3 + 5 + (10 + 1) + (1 + 1), 3 + 14 + (20 + 2) + (1 + 2)
    )


def test_what_is_kept_takes_no_time_and_no_disk() -> None:
    kept = of(NETWORK, dataclasses.replace(PIXELS, kept=True))
    assert kept.missing == (NETWORK,)
    assert kept.total_s == of(NETWORK).total_s
    assert (kept.disk_bytes, of(NETWORK, PIXELS).disk_bytes) == (2000, 5000)
    assert of(NETWORK, PIXELS).largest_bytes == 3000
    assert [one["kept"] for one in kept.as_dict()["networks"]] == [False, True]


def test_workers_share_shards_and_scorings_but_no_more_than_there_are() -> None:
    cut = dataclasses.replace(NETWORK, shards=4)
    rates = dataclasses.replace(RATES, once_s=0.0, shard_s=Span(1.0, 1.0))
    alone = of(cut, rates=rates)
    close(alone.total_s, 5 + 10 + 4, 14 + 22 + 4)
    close(of(cut, rates=rates, forwarders=2).total_s, 5 + 14 / 2, 14 + 26 / 2)
    close(of(cut, rates=rates, forwarders=100, scorers=100).total_s, 5 + 14 / 4, 14 + 26 / 4)


def test_without_rates_there_is_no_time_but_all_else() -> None:
    found = of(NETWORK, rates=None).as_dict()
    assert [found[name] for name in ("decode_s", "forward_s", "scoring_s", "total_s", "longest")] == [
        None
    ] * 5
    assert (found["clips"], found["disk_bytes"]) == (100, 2000)
    assert found["memory_bytes"] == 7 + max(size.memory_bytes for size in NETWORK.sizes)


def test_memory_is_what_a_batch_took_and_the_largest_probe() -> None:
    measured = dataclasses.replace(RATES, process_bytes=1000)
    probe, ranking = NETWORK.sizes
    assert probe.memory_bytes == fit_bytes(50, 10, 5)
    assert ranking.memory_bytes == 4 * 25 * 10 + 16 * 100 + 8 * 20 * 10
    assert of(NETWORK, rates=measured).memory_bytes == 1000 + max(probe.memory_bytes, ranking.memory_bytes)
    assert batch_bytes(SPEC, 8) == 4 * SPEC.num_parameters + 5 * 8 * 3 * 16 * 56 * 56


def test_the_limit_of_the_probes_memory_bounds_rows_and_not_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns, classes = 100_000, 3072, 5
    whole = fit_bytes(rows, columns, classes)
    assert whole > 4 * rows * columns  # in float32
    monkeypatch.setenv("VCPBENCH_PROBE_MEMORY_MB", "512")
    assert whole - fit_bytes(rows, columns, classes) == 4 * rows * columns - CHUNK_BYTES
    assert fit_bytes(2_400_000, 512, 400) > 6 * 8 * 2_400_000 * 400


# --- counts ---


def video(num_frames: int, number: int = 0, split: str = "train") -> Video:
    assert split in ("train", "test")
    return Video(
        id=f"c{number % 2}/{number}.mp4",
        label=f"c{number % 2}",
        split="train" if split == "train" else "test",
        group=None,
        sha256="0" * 64,
        num_frames=num_frames,
    )


@pytest.mark.parametrize(
    ("num_frames", "starts", "frames"),
    [(100, [0, 42], 58), (100, [84], 100), (10, [0], 10), (100, [], 0)],
)
def test_a_video_is_decoded_up_to_the_last_frame_that_a_clip_needs(
    num_frames: int, starts: list[int], frames: int
) -> None:
    assert decoded_frames(video(num_frames), starts, SPEC) == frames


def test_a_sample_stands_for_all_videos() -> None:
    train = [video(100 + Draws(0, number).below(100), number) for number in range(4000)]
    test = [video(150, number, "test") for number in range(4000, 5000)]
    dataset = Dataset(name="many", split_name="1", root=Path("nowhere"), videos=(*train, *test))
    assert sampled(dataset, 5000) == (dataset, 1.0)
    part, factor = sampled(dataset, 500)
    assert (len(part.side("train")), len(part.side("test")), factor) == (400, 100, 10.0)
    whole = Counts.of(EvaluationPlan(dataset=dataset, protocol=QUICK, spec=SPEC))
    plan = EvaluationPlan(dataset=part, protocol=QUICK, spec=SPEC)
    found = Counts.of(plan, factor)
    assert found.of_sample
    assert not whole.of_sample
    assert found.videos == whole.videos == 5000
    assert (found.calibration_clips, whole.calibration_clips) == (256, 256)
    for name in ("clips", "frames", "calibration_frames"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=0.03), name
    probe, ranking = (
        networks_of(plan, found, factor=factor, controls=False)[0].sizes[-3],
        networks_of(plan, found, factor=factor, controls=False)[0].sizes[-1],
    )
    assert isinstance(probe, Probe)
    assert isinstance(ranking, Ranking)
    assert (probe.rows, ranking.queries, ranking.gallery) == (4000 * 3, 1000, 4000)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("backbone", ["r3d", "mc3_18", "slow_r50"])
def test_features_take_four_bytes_for_each_number_of_each_network(name: str, backbone: str) -> None:
    protocol, spec = PROTOCOLS[name], BACKBONES[backbone]
    videos = tuple(video(200, n, "test" if n % 3 == 0 else "train") for n in range(12))
    dataset = Dataset(name="few", split_name="1", root=Path("nowhere"), videos=videos)
    plan = EvaluationPlan(dataset=dataset, protocol=protocol, spec=spec)
    counts = Counts.of(plan)
    assert counts.clips == plan.num_clips
    first, *controls, pixels = networks_of(plan, counts, shard_clips=10)
    extra = spec.max_pooled_dim if name == "paper-v1" else 0
    assert first.feature_bytes == 4 * plan.num_clips * (sum(spec.stage_dims) + extra)
    assert pixels.feature_bytes == 4 * plan.num_clips * plan.pixels.spec.feature_dim * (2 if extra else 1)
    assert [one.name for one in controls] == [f"random weights {seed}" for seed in protocol.control.seeds]
    assert all(one.clips == first.clips + counts.calibration_clips for one in controls)
    assert first.shards == -(-plan.num_clips // 10)
    assert networks_of(plan, counts, controls=False, shard_clips=10) == (first,)


# --- beside a real run ---


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    lengths = (12, 60, 100, 130)  # the first is looped; the first two are too short for cloze
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=lengths, per_class=(4, 3))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(vcp_core.build("r3d_tiny", seed=3).state_dict(), path)
    return path


@pytest.mark.slow
def test_counts_are_those_of_a_real_extraction_and_of_the_probes_that_are_fitted(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = EvaluationPlan(dataset=dataset, protocol=load_protocol("standard-v1"), spec=SPEC).pixels
    counters, paths = Counters(), []
    for features in shard_features(plan, pixel_network(plan), plan.shards, device=CPU, counters=counters):
        paths.append(tmp_path / f"{len(paths)}.safetensors")
        features.save(paths[-1])
    counts = Counts.of(plan)
    assert (counts.clips, counts.frames) == (counters.forwarded_clips, counters.decoded_frames)
    fitted: list[tuple[int, int, int, int]] = []
    ranked: list[int] = []
    for module in (cloze, recognition):
        fit = module.fit_with_holdout

        def noting(features: Any, labels: Any, units: Any, *, fit: Any = fit, **how: Any) -> Any:
            fitted.append((*features.shape, how["num_classes"], len(how["candidates"]) + 1))
            return fit(features, labels, units, **how)

        monkeypatch.setattr(module, "fit_with_holdout", noting)
    rank = retrieval.retrieval_ranks
    monkeypatch.setattr(
        retrieval,
        "retrieval_ranks",
        lambda a, b, *rest, **how: ranked.append(a.shape) or rank(a, b, *rest, **how),
    )
    predictions_of(plan, paths)
    (network,) = networks_of(plan, counts, controls=False)
    probes = [one for one in network.sizes if isinstance(one, Probe)]
    assert fitted == [(one.rows, one.columns, one.classes, one.fits) for one in probes]
    last = network.sizes[-1]
    assert isinstance(last, Ranking)
    assert ranked == [(last.queries, last.columns)]
    calibration = plan.calibration
    assert counts.calibration_clips == calibration.num_clips
    decoded = sum(
        decoded_frames(one, [clip.start for clip in clips], plan.spec) for one, clips in calibration.videos
    )
    assert counts.calibration_frames == pytest.approx(decoded, rel=0.1)


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_an_estimate_on_this_machine_knows_what_the_cache_keeps(dataset: Dataset, checkpoint: Path) -> None:
    how: dict[str, Any] = {"benchmarks": ["retrieval"], "device": "cpu"}
    before = vcp_core.estimate(checkpoint, dataset, SMALL, **how)
    assert [one.name for one in before.missing] == ["checkpoint", "random weights 0", "pixels"]
    assert [name for name, _ in before.shorter] == ["--no-controls", "--protocol quick-v1"]
    total = before.total_s
    assert total is not None
    assert 0 < total.low <= total.high
    assert before.rates is not None
    assert before.rates.process_bytes is not None
    assert before.memory_bytes > before.rates.process_bytes > before.batch_bytes
    vcp_core.evaluate(checkpoint, dataset, SMALL, **how)
    after = vcp_core.estimate(checkpoint, dataset, SMALL, **how)
    assert [one.name for one in after.missing] == ["checkpoint"]
    assert after.counts == before.counts
    other = vcp_core.estimate(checkpoint, dataset, SMALL, device="cpu")  # other benchmarks, other controls
    assert len(other.missing) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_a_benchmark_that_cannot_run_has_a_reason_and_takes_no_time(checkpoint: Path, tmp_path: Path) -> None:
    short = make_dataset(tmp_path / "short", lengths=(40,))
    found = vcp_core.estimate(checkpoint, short, SMALL, benchmarks=["cloze"], device="cpu", controls=False)
    assert found.unavailable == {"cloze": "not available: 0 of 2 test videos have 96 frames"}
    assert (found.counts.clips, found.disk_bytes, found.scoring_s) == (0, 0, Span(0.0, 0.0))
    both = vcp_core.estimate(checkpoint, short, SMALL, device="cpu", controls=False)
    assert list(both.unavailable) == ["cloze"]
    assert both.counts.clips > 0


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_an_estimate_refuses_what_an_evaluation_refuses(
    dataset: Dataset, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(NotACheckpoint):
        vcp_core.estimate(tmp_path / "text.pt", dataset, SMALL)
    with pytest.raises(UnknownName, match="quick-v1"):
        vcp_core.estimate(checkpoint, dataset, "quick-v2")
    monkeypatch.setenv("VCPBENCH_PROBE_MEMORY_MB", "much")
    with pytest.raises(VcpbenchError, match="VCPBENCH_PROBE_MEMORY_MB"):
        vcp_core.estimate(checkpoint, dataset, SMALL)


# --- a size that never ran ---


def test_the_arithmetic_at_kinetics_size_is_counts_times_the_rates_that_are_given() -> None:
    words = ["--at", "kinetics400", "--protocol", "quick-v1", "--clip-ms", "2", "--frame-us", "100"]
    lines = list(estimates.multiply(estimates.parse([*words, "--per-day", "100"])))
    found = {name.strip(): rest for line in lines for name, *rest in [re.split(r"  +", line.strip())]}
    assert lines[0] == "Arithmetic from measured pieces. No such evaluation was run."
    # A grid ends at the last frame of a video, so all 300 frames of 260,000 videos are decoded.
    assert found["decoded frames"][0] == "78,000,000"
    (clips, *_) = found["clips"]
    num_clips = int(clips.replace(",", ""))
    assert 9 * 260_000 < num_clips < 10 * 260_000  # 3 of the grid, 7 of a tuple, some of them the same
    assert found["shards"][0] == f"{-(-num_clips // 256):,}"
    assert found["features on disk"][0] == f"{num_clips * 1024 * 4 / 1e9:.1f} GB"
    assert found["GPUs that only forward"] == [f"{100 * num_clips * 0.002 / 86_400:.1f}"]
    cores = 100 * 78e6 * 100e-6 * (256 * 340) / (240 * 320) / 86_400
    assert found["cores that decode"] == [f"{cores:.1f}"]
    assert any("2  r3d, fp32, a clip on an H100 (given)" in line for line in lines)
