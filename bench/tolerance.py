"""Measures how far intervals and lifts move when scores move by their tolerance. Answers are simulated.

python -m bench.tolerance

Legend: N test videos.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from vcp_core.results.reproduction import MULTIPLES, TOLERANCE_POINTS, TOLERANCE_VIDEOS
from vcp_core.statistics.contrasts import contrasts, half_width_of_draws
from vcp_core.statistics.means import mean_of, weighted_mean
from vcp_core.statistics.shares import share_interval
from vcp_core.statistics.units import Correlations, Units

Array = npt.NDArray[np.float64]
SIZES = ((9, 1), (24, 3), (56, 1), (56, 7), (200, 1), (200, 5), (1530, 10))  # videos, of a group
SKILLS = (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 1.0)


def numbers(right_N: Array, controls: list[Array], units: Units) -> dict[str, float]:
    """The numbers that are reported with a score, in percent."""
    own, drawn = weighted_mean(right_N), [weighted_mean(one_N) for one_N in controls]
    correlations = Correlations((own, *drawn), units)
    low, high = share_interval(own, units, correlations.within(own), 0.95)
    over, above = (  # any other answers can stand for pixels
        contrasts([(other, own)], units, correlations=correlations, level=0.95)[0]
        for other in (mean_of(*drawn), drawn[0])
    )
    of_draws = half_width_of_draws([one.value for one in drawn], 0.95)
    found = {"value": own.value, "low": low, "high": high, "lift": over.difference}
    found["lift_low"] = over.difference - float(np.hypot(over.difference - over.low, of_draws))
    found["lift_high"] = over.difference + float(np.hypot(over.high - over.difference, of_draws))
    found |= {"above_pixels_low": above.low, "above_pixels_high": above.high}
    return {name: 100 * number for name, number in found.items()}


def flipped(right_N: Array, most: int, rng: np.random.Generator) -> Array:
    """Flip up to `most` answers: right ones, wrong ones, or as many of each."""
    turned_N, order = right_N.copy(), rng.permutation(len(right_N))
    for kind in ((1,), (0,), (1, 0))[rng.integers(3)]:
        turned_N[[index for index in order if right_N[index] == kind][:most]] = 1 - kind
    return turned_N


def main() -> None:
    """Print the largest moves, as multiples of a score's tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=450, help="number of simulated results for each size")
    draws = parser.parse_args().draws
    rng = np.random.Generator(np.random.PCG64(0))
    print(f"multiples {MULTIPLES}")
    for num_videos, size in SIZES:
        units = Units(ids=tuple(f"{index // size}" for index in range(num_videos)), kind="group")
        allowed = max(TOLERANCE_POINTS, 100 * TOLERANCE_VIDEOS / num_videos)
        most = int(allowed * num_videos / 100)
        moves = defaultdict(list)
        for _ in range(draws):
            skill, untrained = rng.choice(SKILLS), rng.choice(SKILLS[:5])
            own_N = rng.random(num_videos) < skill
            of_group_N = np.repeat(rng.random(-(-num_videos // size)) < skill, size)[:num_videos]
            right_N = np.where(rng.random(num_videos) < 0.5, of_group_N, own_N).astype(np.float64)
            controls = [
                (rng.random(num_videos) < untrained).astype(np.float64) for _ in range(rng.choice([1, 3]))
            ]
            was = numbers(right_N, controls, units)
            turned = [flipped(one_N, most, rng) for one_N in (right_N, *controls)]
            now = numbers(turned[0], turned[1:], units)
            edge = {was["value"], now["value"]} & {0.0, 100.0}
            moved = {name: abs(now[name] - was[name]) / allowed for name in was}
            moves["ends at the edge" if edge else "ends"].append(max(moved["low"], moved["high"]))
            moves["lift"].append(moved["lift"])
            moves["lift's ends"].append(max(moved["lift_low"], moved["lift_high"]))
            moves["ends above pixels"].append(max(moved["above_pixels_low"], moved["above_pixels_high"]))
        told = ", ".join(
            f"{name} {np.percentile(found, 99):.1f} ({max(found):.1f})"
            for name, found in sorted(moves.items())
        )
        print(f"{num_videos} videos, {size} a group, tolerance {allowed:.2f}: 99 % within (most) {told}")


if __name__ == "__main__":
    main()
