"""Intervals: coverage by simulation, whole units, independence of row order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.intervals import coverage
from vcp_core.statistics import choose_units, difference_interval, interval, resampling_weights


@pytest.mark.parametrize("chance", [0.3, 0.7, 0.9])
@pytest.mark.parametrize(("num_units", "per_unit"), [(60, 1), (60, 5), (200, 1)])
def test_intervals_cover_the_truth_as_often_as_they_say(num_units: int, per_unit: int, chance: float) -> None:
    found = coverage("wilson", num_units, per_unit, chance, trials=1500, seed=1)
    print(f"{num_units} units of {per_unit} at {chance}: {100 * found:.1f} %")
    assert 0.93 <= found <= 0.97


def test_an_interval_of_independent_videos_is_near_wilsons_own() -> None:
    outcomes = np.arange(400) < 280
    weights = resampling_weights([str(i) for i in range(400)], num_resamples=4000, seed=0)
    found = interval(0.7, weights @ outcomes / 400, num_units=400, level=0.95)
    expected = binomtest(280, 400).proportion_ci(method="wilson")
    assert found.low == pytest.approx(expected.low, abs=0.004)
    assert found.high == pytest.approx(expected.high, abs=0.004)


def test_nine_of_nine_right_does_not_prove_everything() -> None:
    found = interval(1.0, np.ones(1000), num_units=9, level=0.95)
    assert found.high == 1
    assert found.low < 0.7


def test_rows_of_a_unit_weigh_alike_and_every_resample_draws_as_many_units() -> None:
    units = ["a", "b", "b", "c", "b"]
    weights = resampling_weights(units, num_resamples=200, seed=0)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.shape == (200, 5)


def test_the_order_of_rows_changes_no_weight() -> None:
    units = [f"g{i % 7}" for i in range(30)]
    order = np.random.default_rng(0).permutation(30)
    plain = resampling_weights(units, num_resamples=50, seed=3)
    shuffled = resampling_weights([units[i] for i in order], num_resamples=50, seed=3)
    assert (plain[:, order] == shuffled).all()


def test_groups_are_resampled_where_there_are_five_and_videos_otherwise_with_a_warning() -> None:
    videos = [f"v{i}" for i in range(10)]
    by_group = choose_units(videos, [f"g{i % 5}" for i in range(10)])
    assert (by_group.kind, by_group.num_units, by_group.warning) == ("group", 5, None)
    few = choose_units(videos, ["P3"] * 10)
    assert (few.kind, few.num_units) == ("video", 10)
    assert few.warning is not None
    assert few.warning.startswith("1 group on the test side")
    assert choose_units(videos, [None] * 10).warning is None


def test_no_difference_on_ten_videos_does_not_prove_that_there_is_none() -> None:
    found = difference_interval(0.0, np.zeros(100), num_units=10, level=0.95)
    assert found.low == -found.high
    assert 0.2 < found.high < 0.4
    many = difference_interval(0.0, np.zeros(100), num_units=5000, level=0.95)
    assert many.high < 0.001
