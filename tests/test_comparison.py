"""Paired comparisons: every test against brute force or SciPy, and the right one for the data."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from vcp_core import comparison, statistics
from vcp_core.benchmarks import load_benchmark
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.comparison import Difference, compare, compare_many, unpaired
from vcp_core.results import Fit, Predictions
from vcp_core.scoring import estimate
from vcp_core.statistics import flips, holm, mcnemar

QUICK = PROTOCOLS["quick-v1"]
CLASSES = ("a", "b", "c")
bools = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def recognised(right: np.ndarray, groups: list[str | None] | None = None) -> Predictions:
    """Recognition by both methods: the first answer is right where `right` says so."""
    labels = [CLASSES[i % 3] for i in range(len(right))]
    ranked = [
        [label, "x"] if good else ["x", "y"] for label, good in zip(labels, right.tolist(), strict=True)
    ]
    return Predictions(
        benchmark="recognition",
        answers=(*CLASSES, "x", "y"),
        columns={
            "video": [f"v{i:04d}" for i in range(len(right))],
            "group": groups or [None] * len(right),
            "label": labels,
            "linear": ranked,
            "knn": ranked,
        },
    )


def answered(guesses: list[str], heads: tuple[str, ...] = ("relational", "concat")) -> Predictions:
    """Cloze, five rows a video in the order of the options; every head gives the same guesses."""
    videos = [f"v{row // 5:02d}" for row in range(len(guesses))]
    numbers = {"l2": 1.0, "holdout_losses": {}, "converged": True, "num_iterations": 1, "gradient_norm": 0.0}
    return Predictions(
        benchmark="cloze",
        answers=OPTION_NAMES,
        columns={
            "video": videos,
            "group": [None] * len(guesses),
            "option": [*OPTION_NAMES] * (len(guesses) // 5),
            "variant": ["", "90", "1032", "before:21", "0-1"] * (len(guesses) // 5),
            **{head: guesses for head in heads},
        },
        fits=tuple(Fit.model_validate({"name": head, **numbers}) for head in heads),
    )


def by_metric(first: Predictions, second: Predictions) -> dict[str, Difference]:
    found = compare({first.benchmark: first}, {second.benchmark: second}, QUICK)
    return {one.metric: one for one in found}


@given(bools)
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_binomial_test_of_the_videos_that_one_alone_got_right(
    outcomes: list[tuple[bool, bool]],
) -> None:
    first, second = np.array(outcomes, bool).T
    only = [int((first & ~second).sum()), int((second & ~first).sum())]
    expected = binomtest(only[0], sum(only), 0.5).pvalue if sum(only) else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == mcnemar(first, second)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_equals_its_definition(p_values: list[float]) -> None:
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    for place, i in enumerate(order):
        expected = min(1.0, max((m - j) * p_values[order[j]] for j in range(place + 1)))
        assert holm(p_values)[i] == pytest.approx(expected)


def exchanged(first: Predictions, second: Predictions, videos: set[str]) -> Predictions:
    """`first`, with the second's answers for some videos."""
    columns = {
        name: [
            theirs if video in videos else own
            for video, own, theirs in zip(first.column("video"), values, second.column(name), strict=True)
        ]
        for name, values in first.columns.items()
    }
    return first.model_copy(update={"columns": columns})


def slow_p_value(first: Predictions, second: Predictions, metric: str) -> float:
    """Every way of exchanging videos' answers, written out, and the metrics of what comes out."""

    def difference(videos: set[str]) -> float:
        values = []
        for predictions in (exchanged(first, second, videos), exchanged(second, first, videos)):
            found = {m.name: m for m in load_benchmark(first.benchmark).metrics(predictions)}
            values.append(estimate(found[metric], len(predictions.column("video"))))
        return abs(values[1] - values[0])

    videos = sorted(set(first.column("video")))
    ways = [set(some) for size in range(len(videos) + 1) for some in itertools.combinations(videos, size)]
    seen = difference(set())
    return sum(not difference(way) < seen - 1e-9 for way in ways) / len(ways)


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=6, deadline=None)
def test_sign_flips_equal_every_exchange_written_out_also_for_precisions(seed: int, num_videos: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (answered(rng.choice(OPTION_NAMES, 5 * num_videos).tolist()) for _ in range(2))
    found = by_metric(first, second)
    for metric in ("cloze.accuracy", "cloze.temporal", "cloze.recall.remote"):
        assert found[metric].p_value == pytest.approx(slow_p_value(first, second, metric)), metric
        assert found[metric].test == "sign-flip"
    for metric in {"cloze.precision.remote", "cloze.precision.original"} & set(found):
        assert found[metric].p_value == pytest.approx(slow_p_value(first, second, metric)), metric


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=20, deadline=None)
def test_sign_flips_of_a_mean_over_groups_equal_scipys(seed: int, per_group: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"g{i % 7}" for i in range(7 * per_group)]
    first, second = (rng.random(len(groups)) < chance for chance in (0.4, 0.6))
    found = by_metric(recognised(first, [*groups]), recognised(second, [*groups]))["recognition.top1"]
    sums = [
        sum(d for d, g in zip(second * 1.0 - first, groups, strict=True) if g == f"g{u}") for u in range(7)
    ]
    expected = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert found.test == "sign-flip"
    assert found.p_value == pytest.approx(expected.pvalue)


def test_random_flips_of_many_units_come_near_the_exact_test() -> None:
    rng = np.random.default_rng(1)
    groups = [f"g{i:02d}" for i in range(16) for _ in range(3)]
    first, second = (rng.random(48) < chance for chance in (0.5, 0.65))
    found = by_metric(recognised(first, [*groups]), recognised(second, [*groups]))["recognition.top1"]
    sums = (second * 1.0 - first).reshape(16, 3).sum(axis=1)
    signs = 1 - 2 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = float((np.abs(signs @ sums) >= abs(sums.sum())).mean())
    assert 0.02 < exact < 0.9
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))
    again = by_metric(recognised(first, [*groups]), recognised(second, [*groups]))["recognition.top1"]
    assert again == found


def test_flips_come_in_chunks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for num_units in (3, 13, 14, 40):
        whole = np.concatenate(list(flips(num_units, seed=2)))
        assert not whole[0].any()
        assert len(whole) == (2**num_units if num_units < 14 else 10_000)
        assert len(np.unique(whole, axis=0)) > 0.7 * len(whole)
        with monkeypatch.context() as patch:
            patch.setattr(statistics, "CHUNK_BYTES", 8 * num_units * 700)
            chunks = list(flips(num_units, seed=2))
        assert max(map(len, chunks)) <= 700
        np.testing.assert_array_equal(np.concatenate(chunks)[:700], whole[:700])


def test_mcnemar_where_a_video_gives_one_outcome_and_there_are_no_groups_else_sign_flips() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.4, rng.random(60) < 0.7
    alone = by_metric(recognised(first), recognised(second))
    assert {name: one.test for name, one in alone.items()} == {
        f"recognition.{method}{metric}": test
        for method in ("", "knn.")
        for metric, test in (("top1", "mcnemar"), ("top5", "mcnemar"), ("mean_class", "sign-flip"))
    }
    assert alone["recognition.top1"].p_value == mcnemar(first, second)
    for num_groups in (2, 20):  # two are too few to be resampled; videos are, but not as if independent
        groups: list[str | None] = [f"g{i % num_groups}" for i in range(60)]
        grouped = by_metric(recognised(first, groups), recognised(second, groups))
        assert {one.test for one in grouped.values()} == {"sign-flip"}


def test_the_two_tests_agree_about_one_outcome_a_video() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random(300) < 0.5, rng.random(300) < 0.58
    two_groups: list[str | None] = [f"g{i % 2}" for i in range(300)]
    exact = by_metric(recognised(first), recognised(second))["recognition.top1"]
    flipped = by_metric(recognised(first, two_groups), recognised(second, two_groups))["recognition.top1"]
    assert flipped.p_value == pytest.approx(exact.p_value, rel=0.2, abs=0.01)


def test_equal_answers_have_a_p_value_of_one_and_clearly_better_ones_a_small_one() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200) < 0.3
    same, better = (by_metric(recognised(first), recognised(second)) for second in (first, first | True))
    assert {one.p_value for one in same.values()} == {1.0}
    assert all(one.p_value <= 1e-4 for one in better.values())


@pytest.mark.parametrize("grouped", [False, True])
def test_two_that_are_equally_good_are_told_apart_as_rarely_as_the_level_says(grouped: bool) -> None:
    rng = np.random.default_rng(4)
    small = 0
    for _ in range(200):
        shared = rng.random(12) < 0.5  # rows of a group correlate
        outcomes = [
            np.where(rng.random((12, 5)) < 0.5, shared[:, None], rng.random((12, 5)) < 0.5).ravel()
            for _ in range(2)
        ]
        groups: list[str | None] | None = [f"g{i // 5}" for i in range(60)] if grouped else None
        first, second = (recognised(right, groups) for right in outcomes)
        pair = comparison._Pair("recognition", first, second, QUICK)
        name = "recognition.top1"
        p = pair._sign_flips([name])[name] if grouped else mcnemar(*outcomes)
        small += p <= 0.05
    assert small <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


def test_one_against_many_says_how_many_and_adjusts_for_it() -> None:
    rng = np.random.default_rng(0)
    reference = {"recognition": recognised(rng.random(150) < 0.4)}
    others = {f"m{i}": {"recognition": recognised(rng.random(150) < 0.4 + 0.05 * i)} for i in range(5)}
    found = compare_many(reference, others, QUICK)
    alone = {name: compare(reference, other, QUICK) for name, other in others.items()}
    assert list(found) == list(others)
    top1 = {name: next(d for d in found[name] if d.metric == "recognition.top1") for name in found}
    expected = holm([next(d for d in alone[n] if d.metric == "recognition.top1").p_value for n in found])
    assert [one.p_adjusted for one in top1.values()] == expected
    assert {one.num_comparisons for one in top1.values()} == {5}
    assert all(one.p_adjusted >= one.p_value for many in found.values() for one in many)


def test_backbones_of_different_stages_are_compared_in_what_both_have() -> None:
    rng = np.random.default_rng(0)
    guesses = [rng.choice(OPTION_NAMES, 50).tolist() for _ in range(2)]
    first = answered(guesses[0], ("relational", "concat", "relational@conv1"))
    second = answered(guesses[1], ("relational", "concat", "relational@layer1"))
    names = set(by_metric(first, second))
    assert "cloze.accuracy" in names
    assert not any("@" in name for name in names)


def of_videos(predictions: Predictions, kept: Callable[[str], bool]) -> Predictions:
    """The rows of some videos, written out."""
    rows = [row for row, video in enumerate(predictions.column("video")) if kept(video)]
    columns = {name: [values[row] for row in rows] for name, values in predictions.columns.items()}
    return predictions.model_copy(update={"columns": columns})


def test_two_that_answered_other_videos_are_compared_on_those_that_both_did() -> None:
    rng = np.random.default_rng(0)
    first, second = (answered(rng.choice(OPTION_NAMES, 100).tolist()) for _ in range(2))
    late = of_videos(first, lambda video: video >= "v03")
    early = of_videos(second, lambda video: video < "v16")
    found = compare({"cloze": late}, {"cloze": early}, QUICK)
    both = [of_videos(one, lambda video: "v03" <= video < "v16") for one in (first, second)]
    assert found == compare({"cloze": both[0]}, {"cloze": both[1]}, QUICK)
    assert {one.num_videos for one in found} == {13}
    (note,) = unpaired({"cloze": late}, {"cloze": early})
    assert (
        note == "cloze: compared on the 13 videos that both answered, "
        "without 4 of the first alone and 3 of the second alone"
    )
    assert unpaired({"cloze": first}, {"cloze": second}) == ()


def test_a_benchmark_that_cannot_be_paired_takes_no_other_with_it() -> None:
    rng = np.random.default_rng(0)
    guesses = answered(rng.choice(OPTION_NAMES, 100).tolist())
    early, late = of_videos(guesses, lambda video: video < "v10"), of_videos(guesses, lambda v: v >= "v10")
    right = [recognised(rng.random(60) < 0.5) for _ in range(2)]
    first, second = {"cloze": early, "recognition": right[0]}, {"cloze": late, "recognition": right[1]}
    found = compare(first, second, QUICK)
    assert found
    assert found == compare({"recognition": right[0]}, {"recognition": right[1]}, QUICK)
    assert unpaired(first, second) == ("cloze: no video has answers of both; not compared",)
    assert unpaired(first, {"recognition": right[1]}) == ("cloze: only the first has answers; not compared",)


def test_a_comparison_of_ucf101s_size_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    groups: list[str | None] = [f"g{i % 707}" for i in range(3783)]
    first, second = (recognised(rng.random(3783) < chance, groups) for chance in (0.4, 0.42))
    begun = time.process_time()
    by_metric(first, second)
    took = time.process_time() - begun
    print(f"six metrics of 3,783 videos in 707 groups: {took:.1f} s of CPU")
    assert took < 15


def test_answers_that_are_not_of_the_same_videos_row_by_row_are_refused() -> None:
    first = recognised(np.array([True, False, True]))
    columns = {name: values[::-1] for name, values in first.columns.items()}
    backwards = first.model_copy(update={"columns": columns})
    with pytest.raises(NotAvailable, match="recognition: the two do not have the same videos row by row"):
        compare({"recognition": first}, {"recognition": backwards}, QUICK)
