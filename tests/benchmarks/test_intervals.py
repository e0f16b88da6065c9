"""The interval of every metric of every benchmark: leaving out units must tell what a bootstrap tells.

Legend: N rows, P rows of a part, R weightings, U units.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.test_benchmarks import make_manifest, noise, score
from tests.statistics.test_smooth import Of, quantile_of, ratio
from vcp_core.benchmarks import load_benchmark
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.statistics.contrasts import leave_one_out
from vcp_core.statistics.means import Array, Mean, OfWeights, Statistic
from vcp_core.statistics.units import Units, choose_units

DATASET = make_manifest(per_class=(8, 80))  # 160 groups on the test side
NUM_PARTS = 8  # of 20 groups each; on one part alone a median is within bounds about every second time
NUM_RESAMPLES = 200
FACTOR = 1.5  # means of the shipped benchmarks stay within 1.3


def as_function(statistic: Mean | Statistic) -> OfWeights:
    """A mean as a function of the rows' weights, as other statistics are."""
    if isinstance(statistic, Statistic):
        return statistic
    sums_N, weights_N = statistic.weights_N * statistic.values_N, statistic.weights_N
    return lambda weights_RN: weights_RN @ sums_N / (weights_RN @ weights_N)


def part_of(statistic: OfWeights, units: Units, part: int) -> tuple[OfWeights, Units]:
    """The statistic of the rows of some units alone, and these units."""
    rows_P = np.flatnonzero(units.number_N % NUM_PARTS == part)

    def of_part(weights_RP: Array) -> Array:
        weights_RN = np.zeros((len(weights_RP), len(units.ids)))
        weights_RN[:, rows_P] = weights_RP
        return statistic(weights_RN)

    return of_part, Units(ids=tuple(units.ids[row] for row in rows_P), kind=units.kind)


def bootstrap_error(statistic: OfWeights, units: Units) -> float:
    """The standard error of a statistic when units are drawn with replacement."""
    num = units.num_behind()
    drawn_RU = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=NUM_RESAMPLES)
    values_R = statistic(drawn_RU[:, units.number_N].astype(np.float64))
    known_R = values_R[~np.isnan(values_R)]
    return float(known_R.std()) if len(known_R) else 0.0


def errors(statistic: Mean | Statistic, units: Units) -> list[tuple[float, float]]:
    """The standard error on each part: from leaving out units, and from a bootstrap."""
    parts = (part_of(as_function(statistic), units, part) for part in range(NUM_PARTS))
    with np.errstate(invalid="ignore"):  # no value where no row that counts was drawn
        return [(float(np.sqrt(leave_one_out(*part)[1])), bootstrap_error(*part)) for part in parts]


def agree(jackknife: float, bootstrap: float) -> bool:
    return bootstrap / FACTOR <= jackknife <= bootstrap * FACTOR


@pytest.mark.parametrize("name", BENCHMARKS)
def test_leaving_out_units_tells_of_every_metric_what_a_bootstrap_tells(name: str, tmp_path: Path) -> None:
    answers = score(name, noise(), tmp_path, DATASET).predictions
    assert answers is not None
    units = choose_units(answers.column("video"), answers.column("group"))
    found = {one.name: errors(one.statistic, units) for one in load_benchmark(name).metrics(answers)}
    assert any(jackknife > 0 for both in found.values() for jackknife, _ in both)
    wrong = {name: both for name, both in found.items() if not all(agree(*one) for one in both)}
    assert not wrong, (
        "The intervals of these metrics are wrong: leaving out units gives another standard error than a "
        "bootstrap. A statistic must be smooth in the weights of the rows: no median, quantile, minimum or "
        f"maximum. Standard errors (jackknife, bootstrap): {wrong}"
    )


def masked(reduce: Callable[[Array], np.floating]) -> Of:
    """What a function of NumPy says of the rows that have any weight."""
    return lambda values_N: (
        lambda weights_RN: np.array([reduce(values_N[weights_N > 0]) for weights_N in weights_RN])
    )


def between_rows(values_N: Array) -> OfWeights:
    """A median that interpolates between rows. A weight moves it a little, and yet it is not smooth."""
    order_N = np.argsort(values_N)

    def median(weights_N: Array) -> float:
        sorted_N = weights_N[order_N]
        middle_N = (np.cumsum(sorted_N) - sorted_N / 2) / sorted_N.sum()
        there_N = sorted_N > 0
        return float(np.interp(0.5, middle_N[there_N], values_N[order_N][there_N]))

    return lambda weights_RN: np.array([median(weights_N) for weights_N in weights_RN])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "of", [quantile_of(0.5), quantile_of(0.9), masked(np.median), masked(np.max), between_rows]
)
def test_no_kind_of_median_or_maximum_agrees_with_a_bootstrap(of: Of, seed: int) -> None:
    units = Units(ids=tuple(f"g{i // 2:03d}" for i in range(320)), kind="group")
    values_N = np.random.default_rng(seed).standard_normal(len(units.ids))
    assert not all(agree(*one) for one in errors(Statistic(of(values_N)), units))
    assert all(agree(*one) for one in errors(Statistic(ratio(values_N)), units))
