"""Measures how often 95 % intervals contain the truth, how often they hide a loss, and their width.

python -m bench.intervals                 about five minutes; exits with 1 if a limit is not met
python -m bench.intervals --trials 500    a first look
python -m bench.intervals --only group    one of: paired, single, group, constant, wide, lift

Answers are simulated. Intervals are computed by the functions that scores and comparisons use. Each number is
printed with its standard error. A limit is missed if the number is beyond it by more than two of these.

Legend: T trials, N rows, U units.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.statistics.contrasts import contrasts, count_pairs, half_width_of_draws
from vcp_core.statistics.means import mean_of, weighted_mean
from vcp_core.statistics.paired import Pairs
from vcp_core.statistics.shares import share_interval, wilson
from vcp_core.statistics.units import Correlations, Units, quantile

Array = npt.NDArray[np.float64]
LEVEL = 0.95
VIDEOS = (24, 56, 200, 700, 1530, 3783)
LOSSES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)  # expected videos
CHANGES = ((0.05, 0.05), (0.02, 0.06), (0.1, 0.1), (0.1, 0.2), (0.3, 0.3))  # chance of a win, of a loss
TRUTHS = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
GROUPS, PER_GROUP = (6, 25, 101), 4
CORRELATIONS = (0.0, 0.1, 0.3, 0.5)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The result of many trials of one kind.

    Attributes:
        name: Name of the kind.
        held: Share of trials whose interval contains the truth.
        below: Share of trials with the truth below the interval, which hides a loss.
        above: Share of trials with the truth above the interval.
        width: Mean width of the interval, as a multiple of Wald's.
        trials: Number of trials.
        limits: (least held, most below, most above, largest width); None where there is none.
    """

    name: str
    held: float
    below: float
    above: float
    width: float
    trials: int
    limits: tuple[float | None, float | None, float | None, float | None]

    @property
    def misses(self) -> list[str]:
        """The limits that are missed by more than two standard errors."""
        least, *most = self.limits
        found = ["held"] if least is not None and self.held + 2 * self._error(self.held) < least else []
        parts = zip(("below", "above"), (self.below, self.above), most[:2], strict=True)
        found += [
            name for name, part, limit in parts if limit is not None and part - 2 * self._error(part) > limit
        ]
        return found + (["width"] if most[2] is not None and self.width > most[2] else [])

    def _error(self, part: float) -> float:
        return float(np.sqrt(max(part * (1 - part), 1 / self.trials) / self.trials))

    def __str__(self) -> str:
        if self.trials == 1:  # the answers were not random, so there are no shares
            return f"{self.name:<44}{'':48}{self.width:9.3f}"
        parts = "".join(
            f"{100 * part:9.2f} ± {100 * self._error(part):.2f}"
            for part in (self.held, self.below, self.above)
        )
        return f"{self.name:<44}{parts}{self.width:9.3f}  {' '.join(self.misses)}"


def cell(
    name: str,
    low_T: Array,
    high_T: Array,
    truth: float,
    wald_T: Array | float,
    limits: tuple[float | None, float | None, float | None, float | None],
) -> Cell:
    """The result of one kind of trial, from the ends of its intervals."""
    below, above = float((truth < low_T - 1e-12).mean()), float((truth > high_T + 1e-12).mean())
    width = float((high_T - low_T).mean() / np.mean(wald_T))
    return Cell(
        name=name,
        held=1 - below - above,
        below=below,
        above=above,
        width=width,
        trials=len(low_T),
        limits=limits,
    )


def wald(variance: float, num_units: int) -> float:
    """Width of Wald's interval where the variance of the estimate is known."""
    return 2 * quantile(LEVEL, 10**9) * float(np.sqrt(variance))


def paired(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """Two evaluations with one outcome a video: losses alone, and independent changes both ways."""
    for n in VIDEOS:
        kinds = [(f"{n} videos, {losses} lost", 0.0, losses / n) for losses in LOSSES if losses < n]
        kinds += [(f"{n} videos, won {b:g}, lost {c:g}", b, c) for b, c in CHANGES]
        for name, b, c in kinds:
            won_T, lost_T, _ = rng.multinomial(n, (b, c, 1 - b - c), size=trials).T.astype(np.float64)
            low_T, high_T = Pairs(won=won_T, lost=lost_T, total=np.full(trials, float(n))).ends(
                quantile(LEVEL, n)
            )
            variance = (b + c - (b - c) ** 2) / n
            wide = 1.1 if n >= 200 and b > 0 else None
            yield cell(name, low_T, high_T, b - c, wald(variance, n), (0.925, 0.03, 0.055, wide))


def single(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """One score of one outcome a video."""
    for n in VIDEOS:
        for truth in TRUTHS:
            share_T = rng.binomial(n, truth, size=trials) / n
            low_T, high_T = wilson(share_T, np.full(trials, float(n)), quantile(LEVEL, n))
            wide = 1.1 if n >= 200 and 0.1 <= truth <= 0.9 else None
            limits = (0.93, None, None, wide)
            yield cell(
                f"{n} videos at {truth:.0%}", low_T, high_T, truth, wald(truth * (1 - truth) / n, n), limits
            )


def alike(
    rng: np.random.Generator, trials: int, num_groups: int, per_group: int, chance: float, correlation: float
) -> Array:
    """Correlated outcomes (trials, rows): each row takes its group's outcome or draws its own."""
    shape = (trials, num_groups, per_group)
    group = rng.random((*shape[:2], 1)) < chance
    follows = rng.random(shape) < np.sqrt(correlation)
    own = rng.random(shape) < chance
    return np.where(follows, group, own).reshape(trials, -1).astype(np.float64)


def units_of(num_groups: int, per_group: int) -> Units:
    """The units of `num_groups` groups with `per_group` rows each."""
    return Units(ids=tuple(f"g{i:05d}" for i in np.repeat(np.arange(num_groups), per_group)), kind="group")


def grouped(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """One score, and the difference of two, where rows of a group are alike."""
    for num_groups in GROUPS:
        for correlation in CORRELATIONS:
            for truth in TRUTHS:
                name = f"{num_groups} groups of {PER_GROUP}, r {correlation:g}, at {truth:.0%}"
                yield group_cell(name, num_groups, correlation, truth, trials, rng, (0.92, None, None, None))
            for chances in ((0.3, 0.3), (0.5, 0.6), (0.9, 0.85)):
                yield grouped_difference(num_groups, correlation, chances, trials, rng)


def group_cell(
    name: str,
    num_groups: int,
    correlation: float,
    truth: float,
    trials: int,
    rng: np.random.Generator,
    limits: tuple[float | None, float | None, float | None, float | None],
) -> Cell:
    """The result for one score with groups."""
    units = units_of(num_groups, PER_GROUP)
    low_T, high_T = np.array(
        [
            share_interval(mean, units, Correlations([mean], units).within(mean), LEVEL)
            for mean in map(weighted_mean, alike(rng, trials, num_groups, PER_GROUP, truth, correlation))
        ]
    ).T
    variance = truth * (1 - truth) / len(units.ids) * (1 + (PER_GROUP - 1) * correlation)
    return cell(name, low_T, high_T, truth, wald(variance, num_groups), limits)


def grouped_difference(
    num_groups: int, correlation: float, chances: tuple[float, float], trials: int, rng: np.random.Generator
) -> Cell:
    """The result for the difference of two scores; each is correlated within groups on its own."""
    units = units_of(num_groups, PER_GROUP)
    outcomes = [alike(rng, trials, num_groups, PER_GROUP, chance, correlation) for chance in chances]
    counts = []
    for both in zip(*outcomes, strict=True):
        first, second = map(weighted_mean, both)
        correlations = Correlations((first, second), units)
        found = count_pairs([(first, second)], units, correlations, LEVEL).pairs
        counts.append((found.won[0], found.lost[0], found.total[0]))
    won_T, lost_T, total_T = np.array(counts).T
    low_T, high_T = Pairs(won=won_T, lost=lost_T, total=total_T).ends(quantile(LEVEL, num_groups))
    variance = sum(p * (1 - p) for p in chances) / len(units.ids) * (1 + (PER_GROUP - 1) * correlation)
    name = f"{num_groups} groups of {PER_GROUP}, r {correlation:g}, {chances[0]:.0%} and {chances[1]:.0%}"
    truth = chances[1] - chances[0]
    return cell(name, low_T, high_T, truth, wald(variance, num_groups), (0.92, None, None, None))


def wide(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """One score of 200 groups and more: not too wide."""
    for num_groups in (200, 700):
        for correlation in CORRELATIONS:
            for truth in TRUTHS[1:-1]:
                name = f"{num_groups} groups of {PER_GROUP}, r {correlation:g}, at {truth:.0%}"
                limits = (0.92, None, None, 1.1)
                yield group_cell(name, num_groups, correlation, truth, trials, rng, limits)


def constant(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """A network that always gives one of five answers: 20 % of each video's, whatever the videos are.

    Its width is printed as a multiple of Wilson's for as many independent answers.
    """
    for n in VIDEOS:
        right_N = np.tile([1.0, 0, 0, 0, 0], n)
        units = Units(ids=tuple(f"v{i:05d}" for i in np.repeat(np.arange(n), 5)), kind="video")
        mean = weighted_mean(right_N)
        low, high = share_interval(mean, units, Correlations([mean], units).within(mean), LEVEL)
        lowest, highest = wilson(np.array([0.2]), np.array([5.0 * n]), quantile(LEVEL, 10**9))
        name = f"{n} videos: {100 * low:.2f} to {100 * high:.2f}"
        found = cell(name, np.array([low]), np.array([high]), 0.2, highest - lowest, (None, None, None, None))
        assert found.width >= 1, "narrower than that of independent answers"
        yield found


def lift(trials: int, rng: np.random.Generator) -> Iterator[Cell]:
    """The score over the mean of three random networks, which truly differ by so much."""
    for num_units in (56, 200, 700):
        for spread in (0.0, 0.01, 0.02, 0.04):
            yield lift_cell(num_units, spread, trials // 10, rng)


def lift_cell(
    num_units: int, spread: float, trials: int, rng: np.random.Generator, *, between: bool = True
) -> Cell:
    """The result for lifts of 5 points over 25 %. A unit has five questions, equally hard for all networks.

    Args:
        num_units: Number of units.
        spread: Standard deviation of the true scores of random networks.
        trials: Number of simulated data sets.
        rng: Generator of all random numbers.
        between: Whether the interval includes the variation between random networks.
    """
    units = units_of(num_units, 5)
    ends, widths = [], []
    for _ in range(trials):
        skills = [*np.clip(0.25 + spread * rng.standard_normal(3), 0, 1), 0.3]
        harder_N = np.repeat(0.1 * rng.standard_normal(num_units), 5)
        *draws, own = (weighted_mean(rng.random(len(harder_N)) < skill + harder_N) for skill in skills)
        correlations = Correlations((*draws, own), units)
        (found,) = contrasts([(mean_of(*draws), own)], units, correlations=correlations, level=LEVEL)
        of_draws = half_width_of_draws([one.value for one in draws], LEVEL) if between else 0.0
        halves = (found.difference - found.low, found.high - found.difference)
        ends.append(
            [
                found.difference - np.hypot(halves[0], of_draws),
                found.difference + np.hypot(halves[1], of_draws),
            ]
        )
        widths.append(found.high - found.low)
    low_T, high_T = np.array(ends).T
    name = f"{num_units} units, draws differ by {100 * spread:g} points"
    return cell(name, low_T, high_T, 0.05, np.array(widths), (0.925, None, None, None))


PARTS: dict[str, Callable[[int, np.random.Generator], Iterator[Cell]]] = {
    "paired": paired,
    "single": single,
    "group": grouped,
    "constant": constant,
    "wide": wide,
    "lift": lift,
}


def main() -> None:
    """Print every cell in percent, and the missed limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--only", choices=PARTS)
    arguments = parser.parse_args()
    missed = 0
    for part, cells in PARTS.items():
        if arguments.only not in (None, part):
            continue
        print(f"\n{cells.__doc__}".rstrip())
        heads = "".join(f"{head:>16}" for head in ("held", "truth below", "truth above"))
        print(f"{part:<44}{heads}{'width':>9}")
        for found in cells(arguments.trials, np.random.Generator(np.random.PCG64(0))):
            missed += bool(found.misses)
            print(found, flush=True)
    print(f"\n{missed} cells miss a limit")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
