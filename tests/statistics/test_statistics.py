"""Intervals and tests: coverage by simulation and by enumeration, whole units, independence of row order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multinomial, norm
from scipy.stats import t as student

from bench import intervals as bench
from vcp_core.benchmarks.metrics import Metric
from vcp_core.statistics.contrasts import (
    Contrast,
    _Squares,
    contrasts,
    half_width_of_draws,
    leave_one_out,
    number_contrast,
)
from vcp_core.statistics.means import Mean, Statistic, mean_of, mean_over, mean_statistic, weighted_mean
from vcp_core.statistics.paired import Pairs
from vcp_core.statistics.shares import share_interval, wilson
from vcp_core.statistics.units import Correlations, Units, choose_units, quantile

TRIALS = 800


def videos(num: int) -> Units:
    return Units(ids=tuple(f"v{i:04d}" for i in range(num)), kind="video")


def groups(num: int, per_group: int) -> Units:
    return bench.units_of(num, per_group)


def interval(right_N: Sequence[float], units: Units) -> tuple[float, float]:
    mean = weighted_mean(np.asarray(right_N, np.float64))
    return share_interval(mean, units, Correlations([mean], units).within(mean), 0.95)


def difference(
    first_N: Sequence[float], second_N: Sequence[float], units: Units, level: float = 0.95
) -> Contrast:
    both = tuple(weighted_mean(np.asarray(one, np.float64)) for one in (first_N, second_N))
    (found,) = contrasts([both], units, correlations=Correlations(both, units), level=level)
    return found


class TestSimulated:
    """A short form of `python -m bench.intervals`: the same cells, with fewer trials."""

    @pytest.mark.parametrize("part", ["paired", "single"])
    def test_by_video(self, part: str) -> None:
        cells = list(bench.PARTS[part](2000, np.random.Generator(np.random.PCG64(1))))
        assert len(cells) > 40
        assert not [str(cell) for cell in cells if cell.misses]

    @pytest.mark.parametrize("correlation", bench.CORRELATIONS)
    @pytest.mark.parametrize("num_groups", bench.GROUPS)
    def test_by_group(self, num_groups: int, correlation: float) -> None:
        rng = np.random.Generator(np.random.PCG64(2))
        limits = (0.92, None, None, None)
        cells = [
            bench.group_cell("", num_groups, correlation, truth, TRIALS // 2, rng, limits)
            for truth in (0.03, 0.5, 0.9)
        ]
        cells.append(bench.grouped_difference(num_groups, correlation, (0.5, 0.6), TRIALS // 2, rng))
        assert not [str(cell) for cell in cells if cell.misses]

    @pytest.mark.parametrize("correlation", [0.0, 0.3])
    def test_many_groups_give_no_interval_that_is_too_wide(self, correlation: float) -> None:
        rng = np.random.Generator(np.random.PCG64(3))
        for truth in (0.1, 0.5):
            found = bench.group_cell("", 200, correlation, truth, 300, rng, (None, None, None, 1.1))
            assert not found.misses, str(found)

    def test_a_cell_that_misses_a_limit_says_which(self) -> None:
        low, high = np.full(1000, 0.4), np.where(np.arange(1000) < 700, 0.6, 0.45)
        found = bench.cell("made up", low, high, 0.5, 0.1, (0.92, 0.03, 0.05, 1.1))
        assert found.misses == ["held", "above", "width"]

    @pytest.mark.parametrize(("num_units", "spread"), [(56, 0.01), (200, 0.04)])
    def test_lifts_hold_for_other_random_networks_than_those_drawn(
        self, num_units: int, spread: float
    ) -> None:
        found, without = (
            bench.lift_cell(num_units, spread, 300, np.random.Generator(np.random.PCG64(3)), between=between)
            for between in (True, False)
        )
        assert not found.misses, str(found)
        if num_units * spread > 5:
            assert without.held < 0.85


def exact(num: int, won: float, lost: float) -> tuple[float, float, float]:
    """Chances that the interval holds the true difference, lies above it, lies below it; enumerated."""
    b, c = (
        (np.zeros(num + 1), np.arange(num + 1.0))
        if won == 0
        else (one.ravel() for one in np.meshgrid(np.arange(num + 1.0), np.arange(num + 1.0)))
    )
    b, c = b[b + c <= num], c[b + c <= num]
    if won == 0:
        b, c = b[c < 90], c[c < 90]  # of 15 expected losses
    chance = (
        binom.pmf(c, num, lost)
        if won == 0
        else multinomial.pmf(np.stack([b, c, num - b - c], 1), num, [won, lost, 1 - won - lost])
    )
    low, high = Pairs(won=b, lost=c, total=np.full(len(b), float(num))).ends(quantile(0.95, num))
    hidden = chance[low > won - lost + 1e-12].sum()
    above = chance[high < won - lost - 1e-12].sum()
    return 1 - hidden - above, hidden, above


@pytest.mark.parametrize("num", [24, 56, 200, 700, 1530, 3783])
def test_a_true_loss_is_held_and_seldom_hidden_whatever_it_is(num: int) -> None:
    for lost in np.arange(1, min(15, num - 1) + 0.01, 0.25):
        held, hidden, above = exact(num, 0, lost / num)
        assert held >= 0.925, (lost, held)
        assert hidden <= 0.03, (lost, hidden)
        assert above <= 0.055, (lost, above)


@pytest.mark.parametrize(("won", "lost"), bench.CHANGES)
def test_changes_both_ways_are_held(won: float, lost: float) -> None:
    for num in (24, 56, 200):
        assert exact(num, won, lost)[0] >= 0.925


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_the_test_is_mcnemars_and_tangos_interval_touches_zero_at_its_level(
    b: int, c: int, same: int
) -> None:
    num = b + c + same
    if num < 2 or b == c:
        return
    first, second = ([1.0] * one + [0.0] * other + [1.0] * same for one, other in ((c, b), (0, 0)))
    second = [0.0] * c + [1.0] * b + [1.0] * same
    found = difference(first, second, videos(num))
    z = (b - c) / np.sqrt(b + c)
    assert found.p_value == pytest.approx(2 * student.sf(abs(z), num - 1))
    if found.p_value > 1e-12:
        at = difference(first, second, videos(num), level=1 - found.p_value)
        assert (at.low if b > c else at.high) == pytest.approx(0, abs=1e-9)


def test_tangos_end_is_that_of_a_slow_search() -> None:
    won, lost, num, z = 12.0, 2.0, 100.0, norm.ppf(0.975)

    def distance(delta: float) -> float:
        """Standard errors under `delta`, with the likeliest chances of a loss and a win."""
        lost_rates = np.linspace(1e-9, (1 - delta) / 2 - 1e-9, 200_001)
        likelihood = (
            won * np.log(lost_rates + delta)
            + lost * np.log(lost_rates)
            + (num - won - lost) * np.log(1 - 2 * lost_rates - delta)
        )
        rate = lost_rates[likelihood.argmax()]
        return float((num * delta - won + lost) / np.sqrt(num * (2 * rate + delta - delta**2)))

    near, far = 0.1, 0.9
    for _ in range(40):
        middle = (near + far) / 2
        near, far = (middle, far) if distance(middle) < z else (near, middle)
    one = np.array([1.0])
    pairs = Pairs(won=won * one, lost=lost * one, total=num * one)
    assert pairs._last_kept(z, allow_for_skewness=False)[0] == pytest.approx(near, abs=1e-5)
    assert pairs.ends(z)[1][0] >= near - 1e-5


@pytest.mark.parametrize("num", [24, 56, 200])
def test_one_more_video_lost_lowers_both_ends(num: int) -> None:
    b, c = np.meshgrid(np.arange(num + 1.0), np.arange(num + 1.0), indexing="ij")
    low, high = Pairs(won=b, lost=c, total=np.full_like(b, num)).ends(quantile(0.95, num))
    for end in (low, high):
        end[b + c > num] = np.nan
        for step in (end[:, 1:] - end[:, :-1], end[:-1] - end[1:]):  # one more lost; one fewer won
            assert np.nanmax(step) < 0


def ways_to_lose(num_groups: int, per_group: int) -> list[tuple[int, ...]]:
    """How many answers each group loses; the order of groups does not matter."""
    return list(itertools.combinations_with_replacement(range(per_group + 1), num_groups))


@pytest.mark.parametrize("right", [24, 18, 12])
def test_by_group_no_losses_make_the_lower_end_rise_above_that_of_equal_answers(right: int) -> None:
    units = groups(6, 4)
    first = np.zeros((6, 4))
    first[:, : right // 6] = 1
    start = difference(first.ravel(), first.ravel(), units)
    for losses in ways_to_lose(6, right // 6):
        second = first.copy()
        for group, lost in enumerate(losses):
            second[group, :lost] = 0
        found = difference(first.ravel(), second.ravel(), units)
        assert found.low <= start.low + 1e-12, losses
        assert found.difference == pytest.approx(-sum(losses) / 24)


def evenly(right: int) -> np.ndarray:
    """So many right answers of 24, spread over 6 groups of 4."""
    order = np.arange(24).reshape(6, 4).T.ravel()
    found = np.zeros(24)
    found[order[:right]] = 1
    return found


def test_one_more_right_answer_raises_both_ends_by_little() -> None:
    ends = np.array([interval(evenly(right), groups(6, 4)) for right in range(25)])
    steps = np.diff(ends, axis=0)
    assert steps.min() >= 0
    assert steps.max() <= 0.10
    widths = ends[:, 1] - ends[:, 0]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def test_answers_that_are_always_the_same_are_worth_no_more_than_independent_ones() -> None:
    widths = []
    for cell in bench.constant(1, np.random.Generator(np.random.PCG64(0))):
        assert cell.width >= 1
        assert cell.held == 1
        widths.append(float(cell.name.split(" to ")[1]) - float(cell.name.split(": ")[1].split(" to ")[0]))
    assert widths == sorted(widths, reverse=True)


def test_an_interval_of_independent_videos_is_wilsons_own() -> None:
    low, high = interval(np.arange(400) < 280, videos(400))
    expected = binomtest(280, 400).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_nine_of_nine_right_does_not_prove_everything() -> None:
    low, high = interval(np.ones(9), videos(9))
    assert high == 1
    assert 0.6 < low < 0.7


def test_rows_that_are_all_alike_within_their_units_are_worth_one_each() -> None:
    by_unit = np.random.default_rng(0).random(40) < 0.4
    once = interval(by_unit, videos(40))
    thrice = interval(np.repeat(by_unit, 3), groups(40, 3))
    assert thrice == pytest.approx(once)


def test_means_over_the_same_rows_tell_each_other_how_alike_rows_are() -> None:
    rng = np.random.default_rng(0)
    units = groups(30, 4)
    alike = np.repeat(rng.random(30) < 0.5, 4)
    right, other = weighted_mean(np.ones(120)), weighted_mean(alike)
    alone, together = (Correlations(means, units).within(right) for means in ([right], [right, other]))
    assert alone < 0.2
    assert together > 0.9


def test_a_network_that_always_gives_one_answer_narrows_no_interval_of_another() -> None:
    rng = np.random.default_rng(0)
    units = Units(ids=tuple(f"v{i:02d}" for i in np.repeat(np.arange(50), 5)), kind="video")
    own = weighted_mean(np.repeat(rng.random(50) < 0.5, 5))
    constant = weighted_mean(np.tile([1.0, 0, 0, 0, 0], 50))
    alone = Correlations([own], units).within(own)
    assert Correlations([own, constant, constant], units).within(own) == pytest.approx(alone, rel=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"g{i % 7}" for i in range(30)]
    first, second = (rng.random(30) < 0.5 for _ in range(2))
    order = rng.permutation(30)
    plain = difference(first, second, Units(ids=tuple(names), kind="group"))
    shuffled = difference(
        first[order], second[order], Units(ids=tuple(names[i] for i in order), kind="group")
    )
    assert (shuffled.low, shuffled.high) == pytest.approx((plain.low, plain.high))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_two_evaluations_changed_about_are_the_mirrored_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.random(40) < chance for chance in (0.4, 0.6))
    for units in (videos(40), groups(10, 4)):
        there, back = difference(first, second, units), difference(second, first, units)
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
        assert back.p_value == pytest.approx(there.p_value)


def test_no_difference_on_ten_videos_does_not_prove_that_there_is_none() -> None:
    right = np.arange(10) < 5
    found = difference(right, right, videos(10))
    assert found.low == -found.high
    assert 0.2 < found.high < 0.4
    assert found.p_value == 1
    many = np.arange(5000) < 2500
    assert difference(many, many, videos(5000)).high < 0.001


def test_small_changes_of_precisions_are_told_apart_where_right_and_wrong_would_not_be() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200) * 0.5
    second = first + 0.02 + 0.02 * rng.random(200)  # each a little better
    found = difference(first, second, videos(200))
    assert 0 < found.low < 0.03 < found.high < 0.035
    coarse = 1.96 * np.sqrt(0.03 / 200)  # if a gain of 0.03 meant that 3 % of the answers had turned
    assert found.high - found.low < coarse


def test_precisions_of_other_answers_stand_beside_each_other_and_their_test_agrees() -> None:
    right = np.arange(40) < 20
    units = videos(40)
    first, second = mean_over(right, np.arange(40) >= 10), mean_over(right, np.arange(40) < 22)
    correlations = Correlations((first, second), units)
    (found,) = contrasts([(first, second)], units, correlations=correlations, level=0.95)
    assert found.method == "squares"
    (at,) = contrasts([(first, second)], units, correlations=correlations, level=1 - found.p_value)
    assert at.low == pytest.approx(0, abs=1e-6)
    one, none = mean_over(right, np.arange(40) == 0), mean_over(right, np.arange(40) == 39)
    (found,) = contrasts([(none, one)], units, correlations=Correlations((one, none), units), level=0.95)
    assert found.difference == 1
    assert found.low < 0, "one answer on either side says nothing"


def test_newcombes_interval_is_his_own() -> None:
    """Independent proportions 56/70 and 48/80: 0.0524 to 0.3339 (Newcombe 1998b, table II, method 10)."""
    shares, worth = np.array([[48 / 80], [56 / 70]]), np.array([[80.0], [70.0]])
    low, high = _Squares(shares_2M=shares, worth_2M=worth, alike_M=np.zeros(1)).ends(
        np.array([norm.ppf(0.975)])
    )
    assert (low[0], high[0]) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_plain_number_has_students_interval_by_leaving_out_units() -> None:
    values = np.random.default_rng(0).normal(40, 3, 25)

    def mean(weights_RN: np.ndarray) -> np.ndarray:
        return np.asarray(weights_RN @ values / weights_RN.sum(axis=1))

    number, variance = leave_one_out(mean, videos(25), at_once=7)
    assert number == pytest.approx(values.mean())
    assert variance == pytest.approx(values.var(ddof=1) / 25)
    found = number_contrast(mean, lambda weights_RN: mean(weights_RN) + 1, videos(25), level=0.95)
    assert found.difference == pytest.approx(1)
    assert found.low == pytest.approx(1)


def test_draws_that_agree_and_one_draw_alone_widen_no_interval() -> None:
    assert [half_width_of_draws(draws, 0.95) for draws in ([], [0.2], [0.25, 0.25, 0.25])] == [0, 0, 0]
    by_draws = half_width_of_draws([0.2, 0.3], 0.95)
    assert by_draws == pytest.approx(student.ppf(0.975, 1) * 0.05)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_means_equal_a_slow_twin(rows: list[tuple[bool, bool]]) -> None:
    values = np.array([value for value, _ in rows], float)
    mask = np.array([counts for _, counts in rows])
    some, all_rows = mean_over(values, mask), weighted_mean(values)
    assert all_rows.value == sum(values) / len(values)
    expected = [value for value, counts in zip(values, mask, strict=True) if counts]
    if not expected:
        assert np.isnan(some.value)
        assert mean_of(some, all_rows).value == all_rows.value
        return
    assert some.value == sum(expected) / len(expected)
    assert some.num_rows == pytest.approx(len(expected))
    both = mean_of(some, all_rows)
    assert both.value == pytest.approx((some.value + all_rows.value) / 2)
    assert both.weights_N.sum() == pytest.approx(1)
    assert float(both.weights_N @ both.values_N) == pytest.approx(both.value)


def test_groups_are_units_where_there_are_five_and_videos_otherwise_with_a_warning() -> None:
    names = [f"v{i}" for i in range(10)]
    by_group = choose_units(names, [f"g{i % 5}" for i in range(10)])
    assert (by_group.kind, by_group.num_behind(), by_group.warning) == ("group", 5, None)
    few = choose_units(names, ["P3"] * 10)
    assert (few.kind, few.num_behind()) == ("video", 10)
    assert few.warning is not None
    assert few.warning.startswith("1 group on the test side")
    assert choose_units(names, [None] * 10).warning is None


def test_a_video_without_a_group_is_a_unit_of_its_own() -> None:
    names: list[str | None] = [f"g{i % 5}" for i in range(20)] + [None, None, None]
    rows = [f"v{i}" for i in range(21)] + ["v21", "v21"]  # two rows of one video
    found = choose_units(rows, names)
    assert (found.kind, found.num_behind(), found.warning) == ("group", 7, None)
    assert found.ids[:20] == tuple(names[:20])
    assert found.ids[21] == found.ids[22] != found.ids[20]
    assert choose_units(["g0"] + ["v"] * 5, [None, *(f"g{i}" for i in range(5))]).num_behind() == 6


def test_wilsons_ends_stay_within_the_scale() -> None:
    low, high = wilson(np.array([0.0, 1.0, 0.5]), np.array([3.0, 3.0, 1e9]), 1.96)
    assert (low[0], high[1]) == (0, 1)
    assert high[2] - low[2] < 1e-4


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_values_that_are_no_share_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        weighted_mean([0.5, value])
    assert mean_over([0.5, value], [True, False]).value == 0.5


def test_a_share_that_is_said_to_be_a_plain_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.b: a Mean is a share"):
        Metric(name="a.b", statistic=weighted_mean([1.0]), chance=None, unit="number")


def test_a_bare_function_of_weights_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"a\.b: wrap the function of weights: Statistic\(function\)"):
        Metric(name="a.b", statistic=lambda weights_RN: weights_RN[:, 0], chance=None, unit="number")  # type: ignore[arg-type]


def test_the_mean_of_plain_numbers_is_theirs_for_every_weighting() -> None:
    weights_RN = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
    first, second = (Statistic(lambda w_RN, i=i: w_RN[:, i] / w_RN.sum(axis=1)) for i in (0, 1))
    mean = mean_statistic([first, second])
    assert isinstance(mean, Statistic)
    np.testing.assert_allclose(mean(weights_RN), [1 / 3, 1 / 3])
    assert isinstance(mean_statistic([weighted_mean([1.0]), weighted_mean([0.0])]), Mean)
    with pytest.raises(TypeError, match="cannot be averaged together"):
        mean_statistic([weighted_mean([1.0]), first])


def test_a_mean_that_nothing_counts_for_has_no_value() -> None:
    none: Mean = mean_over([1.0, 0.0], [False, False])
    assert np.isnan(none.value)
    assert none.num_rows == 0
