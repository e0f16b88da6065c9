"""Several splits of one dataset: their mean, its interval, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vcp_core
from bench.intervals import alike
from stack.commands.local import show_mean
from tests.patience import DEADLINE_S
from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.catalog.errors import NotAvailable, UnknownName
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import BenchmarkResult, Predictions, Provenance, Results
from vcp_core.scoring import splits
from vcp_core.scoring.scores import score_benchmark
from vcp_core.scoring.splits import mean_of_splits
from vcp_core.statistics.contrasts import contrasts, half_width_of_draws
from vcp_core.statistics.means import Mean, Statistic, weighted_mean
from vcp_core.statistics.shares import share_interval
from vcp_core.statistics.units import Correlations, Units

QUICK = PROTOCOLS["quick-v1"]
CLASSES = ("a", "b")


def predicted(videos: list[str], right: np.ndarray, groups: list[str | None] | None = None) -> Predictions:
    labels = [CLASSES[i % 2] for i in range(len(videos))]
    first = [label if good else "x" for label, good in zip(labels, right.tolist(), strict=True)]
    return Predictions(
        benchmark="recognition",
        answers=(*CLASSES, "x"),
        columns={
            "video": videos,
            "group": groups or [None] * len(videos),
            "label": labels,
            "linear": [[name] for name in first],
            "knn": [[name] for name in first],
        },
    )


def results(
    split: str,
    predictions: Predictions | None,
    *controls: Predictions,
    pixels: Predictions | None = None,
    **facts: str,
) -> Results:
    benchmark = score_benchmark(
        "recognition",
        predictions,
        {str(seed): control for seed, control in enumerate(controls)},
        pixels=pixels,
        unavailable=None if predictions else "not available: a reason",
        protocol=QUICK,
    )
    chosen = {"sha256": "f" * 64, "name": "ucf101", "hash": QUICK.hash, **facts}
    return Results(
        benchmarks=(benchmark,),
        provenance=Provenance(
            checkpoint={"sha256": chosen["sha256"]},
            backbone="r3d",
            dataset={"name": chosen["name"], "split": split},
            protocol_name="quick-v1",
            protocol_hash=chosen["hash"],
            protocol=QUICK,
            versions={},
            device="",
            num_clips=0,
            reproduce=None,
        ),
    )


def three(chances: tuple[float, ...] = (0.4, 0.5, 0.6), num: int = 60) -> list[Results]:
    rng = np.random.default_rng(0)
    return [
        results(
            str(k + 1),
            predicted([f"s{k}-v{i:03d}" for i in range(num)], rng.random(num) < chance),
            predicted([f"s{k}-v{i:03d}" for i in range(num)], rng.random(num) < 0.3),
        )
        for k, chance in enumerate(chances)
    ]


def test_the_mean_is_that_of_the_splits_values_and_of_their_controls() -> None:
    every = three()
    mean = mean_of_splits([every[2], every[0], every[1]])
    assert list(mean.splits) == ["1", "2", "3"]
    for score in mean.scores:
        own = [one.score(score.metric) for one in every]
        assert score.by_split == {str(k + 1): s.value for k, s in enumerate(own)}
        assert score.value == pytest.approx(sum(s.value for s in own) / 3)
        assert score.control == pytest.approx(sum(s.control or 0 for s in own) / 3)
        assert score.lift == pytest.approx(score.value - (score.control or 0))
        assert score.low < score.value < score.high
    found = mean.score("recognition.top1")
    assert (found.num_videos, found.num_units, found.units) == (180, 180, "video")
    with pytest.raises(UnknownName, match=r"Did you mean 'recognition\.top1'"):
        mean.score("recognition.top11")
    assert json.loads(mean.to_json())["schema_name"] == "vcpbench.splits/1"
    assert mean_of_splits(every).to_json() == mean.to_json()


def answered_rightly(*parts: float, seed: int, name: str, num: int = 60) -> list[Predictions]:
    """Of one split's videos, one for each part of right answers."""
    rng = np.random.default_rng(seed)
    return [predicted([f"{name}-v{i:03d}" for i in range(num)], rng.random(num) < part) for part in parts]


def test_the_lifts_interval_is_that_of_all_rows_and_counts_how_random_weights_differ() -> None:
    parts = {"1": (0.6, 0.3, 0.4, 0.2), "2": (0.5, 0.4, 0.4, 0.2)}
    by_split = {k: answered_rightly(*part, seed=int(k), name=f"s{k}") for k, part in parts.items()}
    found = mean_of_splits([results(split, *own) for split, own in by_split.items()])
    score = found.score("recognition.top1")
    right = np.concatenate([[correct(one) for one in own] for own in by_split.values()], axis=1)
    units = Units(ids=tuple(f"v{i:03d}" for i in range(right.shape[1])), kind="video")
    pair = weighted_mean(right[1:].mean(axis=0)), weighted_mean(right[0])
    (plain,) = contrasts([pair], units, correlations=Correlations(pair, units), level=0.95)
    of_draws = half_width_of_draws(100 * right[1:].mean(axis=1), 0.95)
    assert of_draws > 5
    assert score.lift == pytest.approx(100 * plain.difference)
    expected = [
        score.lift - np.hypot(100 * (plain.difference - plain.low), of_draws),
        score.lift + np.hypot(100 * (plain.high - plain.difference), of_draws),
    ]
    assert [score.lift_low, score.lift_high] == pytest.approx(expected)


def test_results_that_were_read_from_a_file_have_a_lift_and_no_interval_of_it() -> None:
    every = three()
    read = [Results.model_validate_json(one.to_json()) for one in every]
    score, whole = (mean_of_splits(found).score("recognition.top1") for found in (read, every))
    assert score == whole.model_copy(update={"lift_low": None, "lift_high": None})
    assert whole.lift_low is not None


def test_a_mean_at_chance_and_one_that_random_weights_have_carry_a_warning() -> None:
    at_chance = [results(k, *answered_rightly(0.35, 0.3, seed=int(k), name=k)) for k in "12"]
    no_better = [results(k, *answered_rightly(0.6, 0.6, seed=int(k), name=k)) for k in "12"]
    for every, says in (
        (at_chance, "is at chance level (33.3)"),
        (no_better, "is not told apart from random weights"),
    ):
        found = mean_of_splits(every)
        value = found.score("recognition.top1").value
        (said,) = [one for one in found.warnings if "the mean of recognition.top1" in one]
        assert said.startswith(f"recognition: the mean of recognition.top1 {value:.1f} {says}")
    assert mean_of_splits(three((0.8, 0.8, 0.8))).warnings == ()


def test_the_mean_is_printed_with_pixels_and_the_lifts_interval(capsys: pytest.CaptureFixture[str]) -> None:
    every = []
    for split in "12":
        network, control, pixels = answered_rightly(0.8, 0.3, 0.4, seed=int(split), name=split)
        every.append(results(split, network, control, pixels=pixels))
    found = mean_of_splits(every)
    score = found.score("recognition.top1")
    of_pixels = [one.score("recognition.top1").pixels for one in every]
    assert score.pixels == pytest.approx(np.mean([value for value in of_pixels if value is not None]))
    show_mean(found)
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if line.startswith("recognition.top1")]
    own = [f"{value:.1f}" for value in score.by_split.values()]
    span = [f"{score.low:.1f}..{score.high:.1f}", f"{score.lift_low:+.1f}..{score.lift_high:+.1f}"]
    numbers = [f"{value:.1f}" for value in (score.value, score.chance, score.pixels, score.control)]
    lift = f"{score.lift:+.1f}"
    assert rows == [
        ["recognition.top1", numbers[0], span[0], *numbers[1:], lift, span[1]],
        ["recognition.top1", *own],
    ]


def test_three_disjoint_splits_are_worth_three_times_the_videos() -> None:
    every = three((0.5, 0.5, 0.5), num=200)
    mean = mean_of_splits(every).score("recognition.top1")
    one = every[0].score("recognition.top1")
    assert (mean.high - mean.low) == pytest.approx((one.high - one.low) / np.sqrt(3), rel=0.1)


def test_the_same_videos_in_every_split_are_worth_no_more_than_once() -> None:
    right = np.random.default_rng(0).random(200) < 0.5
    videos = [f"v{i:03d}" for i in range(200)]
    every = [results(str(k), predicted(videos, right)) for k in range(3)]
    mean = mean_of_splits(every)
    own, found = every[0].score("recognition.top1"), mean.score("recognition.top1")
    assert (found.num_videos, found.num_units) == (200, 200)
    assert (found.low, found.high) == pytest.approx((own.low, own.high), abs=0.5)
    assert mean.warnings == (
        "recognition: 400 test videos are in several splits, and each is one unit in all of them",
    )


def test_the_interval_is_that_of_the_rows_of_all_splits() -> None:
    every = three()
    right = np.concatenate([correct(predictions_of(one)) for one in every])
    mean: Mean = weighted_mean(right)  # splits of one size: each row weighs alike
    units = Units(ids=tuple(f"v{i:03d}" for i in range(180)), kind="video")
    found = mean_of_splits(every).score("recognition.top1")
    expected = share_interval(mean, units, Correlations([mean], units).within(mean), 0.95)
    assert (found.low, found.high) == pytest.approx((100 * expected[0], 100 * expected[1]))


def predictions_of(one: Results) -> Predictions:
    predictions = one.benchmark("recognition").predictions
    assert predictions is not None
    return predictions


def correct(predictions: Predictions) -> np.ndarray:
    return np.array([row[0] != "x" for row in predictions.column("linear")])


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    chances, num_groups, trials = (0.4, 0.5, 0.6), 30, 200
    rng = np.random.Generator(np.random.PCG64(0))
    splits = [alike(rng, trials, num_groups, 4, chance, 0.3) for chance in chances]
    groups: list[list[str | None]] = [[f"s{k}-g{i // 4}" for i in range(4 * num_groups)] for k in range(3)]
    held = 0
    for outcomes in zip(*splits, strict=True):
        every = [
            results(str(k), predicted([f"s{k}-v{i:03d}" for i in range(len(right))], right > 0, groups[k]))
            for k, right in enumerate(outcomes)
        ]
        found = mean_of_splits(every).score("recognition.top1")
        held += found.low <= 50 <= found.high
    print(f"mean of three splits of {num_groups} groups: {100 * held / trials:.1f} %")
    assert held / trials >= 0.92


def test_a_benchmark_that_a_split_cannot_carry_has_no_mean_and_that_is_said() -> None:
    whole, without = three()[0], results("2", None)
    mean = mean_of_splits([whole, without])
    assert mean.scores == ()
    assert mean.warnings == ("recognition has no mean: it is not available on split 2",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "e" * 64}, "2 checkpoints"),
        ({"name": "hmdb51"}, "2 datasets"),
        ({"hash": "0" * 64}, "2 protocols"),
    ],
)
def test_results_of_different_things_have_no_mean(changes: dict[str, str], says: str) -> None:
    predictions = predicted(["v"], np.ones(1, bool))
    with pytest.raises(NotAvailable, match=says):
        mean_of_splits([results("1", predictions), results("2", predictions, **changes)])


def test_splits_that_a_service_has_under_names_of_their_own_have_a_mean() -> None:
    first, second = (
        results("1", predicted(["v"], np.ones(1, bool))),
        results("2", predicted(["v"], np.ones(1, bool))),
    )
    videos = {"name": "ucf101-2", "own_name": "ucf101", "split": "2"}
    provenance = second.provenance.model_copy(update={"dataset": videos})
    mean = mean_of_splits([first, second.model_copy(update={"provenance": provenance})])
    assert list(mean.splits) == ["1", "2"]


def test_one_split_or_one_twice_has_no_mean() -> None:
    one = three()[0]
    with pytest.raises(NotAvailable, match="two or more, got 1"):
        mean_of_splits([one])
    with pytest.raises(NotAvailable, match="more than once: 1, 1"):
        mean_of_splits([one, one])
    missing = one.model_copy(update={"benchmarks": (BenchmarkResult(benchmark="retrieval"),)})
    with pytest.raises(NotAvailable, match="sets of benchmarks"):
        mean_of_splits([one, missing])


@needs_shared
@pytest.mark.long
def test_the_command_evaluates_each_split_and_prints_their_mean(tmp_path: Path) -> None:
    for seed, (label, group) in enumerate(itertools.product(("Archery", "Biking"), ("01", "08"))):
        name = f"{label}/v_{label}_g{group}_c01.avi"  # groups 1 and 8 are tested by splits 1 and 2
        write_video(tmp_path / "UCF-101" / name, 9, codec="mpeg4", seed=seed)
    torch.save(vcp_core.build("r3d_tiny", seed=3).state_dict(), tmp_path / "model.pt")
    (tmp_path / "p.toml").write_text('base = "quick-v1"\n[grid]\nnum_clips = 1\n')
    command = [str(Path(sys.executable).with_name("vcpbench")), "local", "model.pt", "-d", "ucf101:UCF-101"]
    command += ["--lists", str(SHARED / "splits" / "ucf101"), "--split", "1,2", "-p", "p.toml"]
    done = subprocess.run(
        [*command, "--no-controls", "--benchmark", "retrieval", "--json", "mean.json", "--timings", "s.json"],
        cwd=tmp_path,
        env={**os.environ, "VCPBENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "mean over splits 1, 2" in done.stdout
    written = json.loads((tmp_path / "mean.json").read_text())
    assert set(written["splits"]) == {"1", "2"}
    top1 = next(score for score in written["scores"] if score["metric"] == "retrieval.top1")
    assert top1["num_videos"] == 4
    assert top1["value"] == pytest.approx(np.mean(list(top1["by_split"].values())))
    assert "--split 2" in written["splits"]["2"]["provenance"]["reproduce"]
    assert set(json.loads((tmp_path / "s.json").read_text())) == {"1", "2"}
    again = subprocess.run(
        [command[0], "reproduce", "mean.json", "--json"],
        cwd=tmp_path,
        env={**os.environ, "VCPBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert again.returncode == 0, again.stderr
    verdict = json.loads(again.stdout)
    assert verdict["reproduced"]
    assert {name: one["equal"] for name, one in verdict["splits"].items()} == {"1": True, "2": True}


def test_a_plain_number_of_one_split_sees_that_splits_rows_only() -> None:
    total_N = np.array([3.0, 5.0])
    one = splits._among(Statistic(lambda weights_RN: weights_RN @ total_N), slice(1, 3), 4)
    assert isinstance(one, Statistic)
    assert one(np.array([[9.0, 1.0, 1.0, 9.0], [9.0, 2.0, 0.0, 9.0]])).tolist() == [8.0, 6.0]
