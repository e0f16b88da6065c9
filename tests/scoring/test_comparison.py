"""Paired comparisons: the test and the interval that fit the data, and that they agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from service.web.comparison import verdict
from tests.answers import cloze_answers
from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import Difference, compare, compare_many, unpaired
from vcp_core.statistics.paired import Pairs
from vcp_core.statistics.several import holm
from vcp_core.statistics.units import quantile

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


def by_metric(first: Predictions, second: Predictions) -> dict[str, Difference]:
    found = compare({first.benchmark: first}, {second.benchmark: second}, QUICK)
    return {one.metric: one for one in found}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_equals_its_definition(p_values: list[float]) -> None:
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    for index, i in enumerate(order):
        expected = min(1.0, max((m - j) * p_values[order[j]] for j in range(index + 1)))
        assert holm(p_values)[i] == pytest.approx(expected)


def test_each_metric_is_compared_by_the_test_that_fits_it() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.4, rng.random(60) < 0.7
    for groups in (None, [f"g{i % 20}" for i in range(60)]):
        found = by_metric(recognised(first, groups), recognised(second, groups))
        assert {one.test for one in found.values()} == {"mcnemar"}
        assert {(one.units, one.num_units) for one in found.values()} == {
            ("group", 20) if groups else ("video", 60)
        }
    cloze = by_metric(*(cloze_answers(rng.choice(OPTION_NAMES, 100).tolist()) for _ in range(2)))
    assert cloze["cloze.temporal"].test == "mcnemar"
    assert cloze["cloze.precision.remote"].test == "newcombe"


@given(bools)
@settings(max_examples=60, deadline=None)
def test_one_outcome_a_video_gives_mcnemars_test(outcomes: list[tuple[bool, bool]]) -> None:
    first, second = np.array(outcomes, bool).T
    won, lost = int((second & ~first).sum()), int((first & ~second).sum())
    z = (won - lost) / np.sqrt(won + lost) if won + lost else 0.0
    found = by_metric(recognised(first), recognised(second))["recognition.top1"]
    assert found.p_value == pytest.approx(2 * student.sf(abs(z), max(1, len(outcomes) - 1)))
    assert (found.low <= 0 <= found.high) == (found.p_value >= 0.05)
    pairs = Pairs(*(np.array([float(n)]) for n in (won, lost, len(outcomes))))
    low, high = pairs.ends(quantile(0.95, len(outcomes)))
    assert (found.low, found.high) == pytest.approx((100 * low[0], 100 * high[0]))


def test_an_interval_excludes_zero_exactly_where_the_p_value_is_below_the_level() -> None:
    rng = np.random.default_rng(5)
    seen = set()
    for trial in range(20):
        groups = [f"g{i % 12}" for i in range(60)] if trial % 2 else None
        first, second = (recognised(rng.random(60) < chance, groups) for chance in (0.4, 0.55))
        guesses = rng.choice(OPTION_NAMES, (2, 100))
        guesses[1] = np.where(rng.random(100) < 0.4, [*OPTION_NAMES] * 20, guesses[1])
        cloze = [cloze_answers(one.tolist()) for one in guesses]
        for one in (*by_metric(first, second).values(), *by_metric(*cloze).values()):
            outside = one.low > 0 or one.high < 0
            assert outside == (one.p_value < 0.05), one
            seen.add((one.test, outside))
    assert seen == {(test, outside) for test in ("mcnemar", "newcombe") for outside in (True, False)}


def test_the_same_weights_are_equal_whatever_the_number_of_videos() -> None:
    right = np.random.default_rng(0).random(24) < 0.5
    one = {"recognition": recognised(right)}
    unknown = {d.metric: d for d in compare(one, one, QUICK)}
    assert unknown["recognition.top1"].low < -5, "equal answers alone prove little"
    for found in (
        *compare(one, one, QUICK, same=True),
        *compare_many(one, {"copy": one}, QUICK, same={"copy"})["copy"],
    ):
        assert (found.low, found.high, found.p_value, found.test) == (0, 0, 1, "same")


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
        small += by_metric(first, second)["recognition.top1"].p_value <= 0.05
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
    first = cloze_answers(guesses[0], ("relational", "concat", "relational@conv1"))
    second = cloze_answers(guesses[1], ("relational", "concat", "relational@layer1"))
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
    first, second = (cloze_answers(rng.choice(OPTION_NAMES, 100).tolist()) for _ in range(2))
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
    guesses = cloze_answers(rng.choice(OPTION_NAMES, 100).tolist())
    early, late = of_videos(guesses, lambda video: video < "v10"), of_videos(guesses, lambda v: v >= "v10")
    right = [recognised(rng.random(60) < 0.5) for _ in range(2)]
    first, second = {"cloze": early, "recognition": right[0]}, {"cloze": late, "recognition": right[1]}
    found = compare(first, second, QUICK)
    assert found
    assert found == compare({"recognition": right[0]}, {"recognition": right[1]}, QUICK)
    assert unpaired(first, second) == ("cloze: no video has answers of both; not compared",)
    assert unpaired(first, {"recognition": right[1]}) == ("cloze: only the first has answers; not compared",)


def test_answers_that_are_not_of_the_same_videos_row_by_row_are_refused() -> None:
    first = recognised(np.array([True, False, True]))
    columns = {name: values[::-1] for name, values in first.columns.items()}
    backwards = first.model_copy(update={"columns": columns})
    with pytest.raises(NotAvailable, match="recognition: the two do not have the same videos row by row"):
        compare({"recognition": first}, {"recognition": backwards}, QUICK)


@pytest.mark.parametrize(("num_units", "said"), [(5, "open"), (6, "worse")])
def test_a_page_calls_nothing_worse_on_fewer_than_six_units(num_units: int, said: str) -> None:
    one = by_metric(recognised(np.ones(60)), recognised(np.zeros(60)))["recognition.top1"]
    assert verdict(one.model_copy(update={"num_units": num_units})) == said
