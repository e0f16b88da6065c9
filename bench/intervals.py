"""How often 95 % intervals hold the truth: percentiles, and Wilson with the bootstrap's effective size.

Then the same of paired differences between two evaluations on the same units, and of the lift over the mean
of random networks, with and without the variance between these.

python -m bench.intervals
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from vcp_core.statistics import difference_interval, interval, resampling_weights

METHODS = ("percentile", "wilson")
CORRELATION = 0.5  # part of a unit's items that share its outcome


def simulate(num_units: int, per_unit: int, chance: float, trials: int, seed: int) -> npt.NDArray[np.float64]:
    """Outcomes (trials, units): the part of each unit's items that was right; items of a unit correlate."""
    rng = np.random.Generator(np.random.PCG64(seed))
    shared = rng.random((trials, num_units, 1)) < chance
    own = rng.random((trials, num_units, per_unit)) < chance
    follows = rng.random((trials, num_units, per_unit)) < (CORRELATION if per_unit > 1 else 0)
    return np.asarray(np.where(follows, shared, own).mean(axis=2))


def coverage(method: str, num_units: int, per_unit: int, chance: float, *, trials: int, seed: int) -> float:
    """Part of simulated data sets whose interval holds `chance`."""
    weights = resampling_weights([str(i) for i in range(num_units)], num_resamples=500, seed=seed)
    held = 0
    for outcomes in simulate(num_units, per_unit, chance, trials, seed):
        values = weights @ outcomes / num_units
        if method == "percentile":
            low, high = np.percentile(values, [2.5, 97.5])
        else:
            found = interval(float(outcomes.mean()), values, num_units=num_units, level=0.95)
            low, high = found.low, found.high
        held += bool(low <= chance <= high)
    return held / trials


def difference_coverage(
    num_units: int, per_unit: int, chances: tuple[float, float], *, trials: int, seed: int
) -> float:
    """Part of simulated pairs of evaluations whose difference's interval holds the true difference."""
    weights = resampling_weights([str(i) for i in range(num_units)], num_resamples=500, seed=seed)
    first, second = (
        simulate(num_units, per_unit, chance, trials, 2 * seed + place)
        for place, chance in enumerate(chances)
    )
    held = 0
    for gains in second - first:
        values = weights @ gains / num_units
        found = difference_interval(float(gains.mean()), values, num_units=num_units, level=0.95)
        held += bool(found.low <= chances[1] - chances[0] <= found.high)
    return held / trials


def lift_coverage(
    num_units: int,
    num_draws: int,
    spread: float,
    *,
    between: bool,
    trials: int,
    seed: int,
    per_unit: int = 5,
    chances: tuple[float, float] = (0.25, 0.3),
) -> float:
    """Part of simulated lifts over drawn networks whose interval holds the lift over all such networks.

    Args:
        num_units: Units, whose difficulty all networks share.
        num_draws: Networks that are drawn for the control.
        spread: Standard deviation of what such networks truly score.
        between: Whether the interval counts the variance between the draws.
        trials: Simulated data sets.
        seed: Of everything.
        per_unit: Items of a unit.
        chances: What such networks truly score on average, and what the network does.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = resampling_weights([str(i) for i in range(num_units)], num_resamples=300, seed=seed)
    held = 0
    for _ in range(trials):
        skills = [*np.clip(chances[0] + spread * rng.standard_normal(num_draws), 0, 1), chances[1]]
        harder = 0.1 * rng.standard_normal(num_units)
        right = [rng.binomial(per_unit, np.clip(skill + harder, 0, 1)) / per_unit for skill in skills]
        gains = right[-1] - np.mean(right[:-1], axis=0)
        draws = [float(one.mean()) for one in right[:-1]] if between else []
        found = difference_interval(
            float(gains.mean()), weights @ gains / num_units, num_units=num_units, level=0.95, draws=draws
        )
        held += bool(found.low <= chances[1] - chances[0] <= found.high)
    return held / trials


def main() -> None:
    """Print coverage in percent by method, number of units, items of a unit, and true score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    arguments = parser.parse_args()
    chances = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
    print(f"{'units':>6}{'items':>6}  {'method':<12}" + "".join(f"{chance:>8}" for chance in chances))
    for num_units in (5, 9, 24, 56, 200, 1000):
        for per_unit in (1, 5):
            for method in METHODS:
                found = [
                    100 * coverage(method, num_units, per_unit, chance, trials=arguments.trials, seed=0)
                    for chance in chances
                ]
                cells = "".join(f"{percent:8.1f}" for percent in found)
                print(f"{num_units:>6}{per_unit:>6}  {method:<12}{cells}", flush=True)
    pairs = ((0.3, 0.3), (0.5, 0.5), (0.3, 0.4), (0.5, 0.7), (0.85, 0.9))
    print(f"\n{'units':>6}{'items':>6}  {'difference':<12}" + "".join(f"{f'{a} {b}':>10}" for a, b in pairs))
    for num_units in (5, 9, 24, 56, 200, 1000):
        for per_unit in (1, 5):
            found = [
                100 * difference_coverage(num_units, per_unit, pair, trials=arguments.trials, seed=0)
                for pair in pairs
            ]
            cells = "".join(f"{percent:10.1f}" for percent in found)
            print(f"{num_units:>6}{per_unit:>6}  {'paired':<12}{cells}", flush=True)
    spreads = (0.0, 0.005, 0.01, 0.02, 0.04)
    print(f"\n{'units':>6}{'draws':>6}  {'lift':<12}" + "".join(f"{spread:>8}" for spread in spreads))
    for num_units in (56, 200, 700):
        for between in (False, True):
            found = [
                100 * lift_coverage(num_units, 3, spread, between=between, trials=arguments.trials, seed=0)
                for spread in spreads
            ]
            cells = "".join(f"{percent:8.1f}" for percent in found)
            print(f"{num_units:>6}{3:>6}  {'with' if between else 'without':<12}{cells}", flush=True)


if __name__ == "__main__":
    main()
