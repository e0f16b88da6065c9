"""Quantiles are refused, because leaving out units gives them a false interval. Sums and ratios are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcp_core.benchmarks.metrics import Metric
from vcp_core.scoring.scores import Sample
from vcp_core.statistics.contrasts import leave_one_out
from vcp_core.statistics.means import Array, OfWeights, Statistic
from vcp_core.statistics.smooth import is_smooth
from vcp_core.statistics.units import Units

Of = Callable[[Array], OfWeights]  # from values (N,) to a function of weights


def groups(num: int, per_group: int = 2) -> Units:
    return Units(ids=tuple(f"g{i // per_group:05d}" for i in range(num * per_group)), kind="group")


def quantile_of(share: float) -> Of:
    """The smallest value up to which this share of the weight lies."""

    def of(values_N: Array) -> OfWeights:
        order_N = np.argsort(values_N)

        def quantile(weights_RN: Array) -> Array:
            below_RN = np.cumsum(weights_RN[:, order_N], axis=1)
            return values_N[order_N][(below_RN >= share * below_RN[:, -1:]).argmax(axis=1)]

        return quantile

    return of


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "units", [groups(6, 1), groups(20), groups(61), groups(400, 3)], ids=lambda units: units.num_behind()
)
def test_a_quantile_is_not_smooth(share: float, units: Units) -> None:
    values_N = np.random.default_rng(5).standard_normal(len(units.ids))
    assert not is_smooth(quantile_of(share)(values_N), units)


@pytest.mark.parametrize("num_videos", [60, 61, 120])
def test_a_median_rank_is_refused_by_the_metrics_name(num_videos: int) -> None:
    ranks_N = np.random.default_rng(0).geometric(0.05, num_videos).astype(np.float64)
    median = Statistic(quantile_of(0.5)(ranks_N))
    names = [f"v{i:03d}" for i in range(num_videos)]
    of_two = [f"g{i // 2:02d}" for i in range(num_videos)]
    sample = Sample.over(videos=names, groups=of_two, means=[], level=0.95)
    metric = Metric(name="retrieval.median_rank", statistic=median, chance=None, unit="number")
    with pytest.raises(ValueError, match=r"^retrieval\.median_rank: .* not smooth .* a median"):
        sample.interval(metric)
    if num_videos < 100:
        assert leave_one_out(median, sample.units)[1] == 0, "the interval would have no width"


def ratio(values_N: Array) -> OfWeights:
    return lambda weights_RN: weights_RN @ values_N / (weights_RN @ (1 + np.abs(values_N)))


def log_odds(values_N: Array) -> OfWeights:
    return lambda weights_RN: np.log(
        (weights_RN @ (values_N > 0) + 0.5) / (weights_RN @ (values_N <= 0) + 0.5)
    )


def variance(values_N: Array) -> OfWeights:
    def of_weights(weights_RN: Array) -> Array:
        shares_RN = weights_RN / weights_RN.sum(axis=1, keepdims=True)
        return shares_RN @ values_N**2 - (shares_RN @ values_N) ** 2

    return of_weights


def mean_of_classes(values_N: Array) -> OfWeights:
    """The mean over the two classes of rows; a class whose rows are all left out does not count."""

    def of_weights(weights_RN: Array) -> Array:
        sums_2RN = [(weights_RN * (values_N > 0), weights_RN * (values_N <= 0))]
        return np.nanmean([own @ values_N / own.sum(axis=1) for both in sums_2RN for own in both], axis=0)

    return of_weights


def outlier(values_N: Array) -> OfWeights:
    """A ratio that one row decides nearly alone."""
    weight_N = np.where(np.arange(len(values_N)) == 0, 1e6, 1.0)
    return lambda weights_RN: weights_RN @ (weight_N * values_N) / (weights_RN @ weight_N)


def constant(values_N: Array) -> OfWeights:
    return lambda weights_RN: weights_RN @ values_N**2 / (weights_RN @ values_N**2)


SMOOTH = (ratio, log_odds, variance, mean_of_classes, outlier, constant)


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:Mean of empty slice")
@pytest.mark.parametrize("of", SMOOTH)
@given(st.integers(0, 10_000), st.integers(1, 90), st.integers(1, 3), st.sampled_from(["few", "many"]))
@settings(max_examples=40, deadline=None)
def test_a_function_of_weighted_sums_is_smooth_on_any_answers(
    of: Of, seed: int, num: int, per_group: int, distinct: str
) -> None:
    rng, units = np.random.default_rng(seed), groups(num, per_group)
    size = len(units.ids)
    values_N = (
        rng.integers(-1, 2, size).astype(np.float64) if distinct == "few" else rng.standard_normal(size)
    )
    assert is_smooth(of(values_N), units)
    assert is_smooth(of(1e-7 * values_N), units)
