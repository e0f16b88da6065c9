"""How far intervals and lifts move when scores move by their tolerance; answers made up.

python -m bench.tolerance

Legend: N test videos, R resamples.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from vcp_core.reproduction import AT_THE_EDGE, MULTIPLES, TOLERANCE_POINTS, TOLERANCE_VIDEOS
from vcp_core.statistics import difference_interval, interval, resampling_weights

Array = npt.NDArray[np.float64]
SIZES = ((9, 1), (24, 3), (56, 1), (56, 7), (200, 1), (200, 5), (1530, 10))  # videos, of a group
SKILLS = (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 1.0)


def numbers(right_N: Array, controls: list[Array], weights_RN: Array, num_units: int) -> dict[str, float]:
    """What a score is reported with, percent."""
    values_R, value = weights_RN @ right_N / weights_RN.sum(axis=1), float(right_N.mean())
    control_R = np.mean([weights_RN @ one_N / weights_RN.sum(axis=1) for one_N in controls], axis=0)
    draws = [float(one_N.mean()) for one_N in controls]
    lift = value - float(np.mean(draws))
    own = interval(value, values_R, num_units=num_units, level=0.95)
    over = difference_interval(lift, values_R - control_R, num_units=num_units, level=0.95, draws=draws)
    pixels = difference_interval(  # any other answers do; it is one draw of nothing
        value - draws[0],
        values_R - weights_RN @ controls[0] / weights_RN.sum(axis=1),
        num_units=num_units,
        level=0.95,
    )
    found = {"value": value, "low": own.low, "high": own.high, "lift": lift}
    found |= {"lift_low": over.low, "lift_high": over.high}
    found |= {"above_pixels_low": pixels.low, "above_pixels_high": pixels.high}
    return {name: 100 * number for name, number in found.items()}


def flipped(right_N: Array, most: int, rng: np.random.Generator) -> Array:
    """As many answers as may change, all for the worse, all for the better, or as many of each."""
    turned_N, order = right_N.copy(), rng.permutation(len(right_N))
    for kind in ((1,), (0,), (1, 0))[rng.integers(3)]:
        turned_N[[place for place in order if right_N[place] == kind][:most]] = 1 - kind
    return turned_N


def main() -> None:
    """Print the largest moves, as multiples of a score's tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=450, help="of answers, for each size")
    draws = parser.parse_args().draws
    rng = np.random.Generator(np.random.PCG64(0))
    print(f"multiples {MULTIPLES}, at the edge {AT_THE_EDGE}")
    for num_videos, size in SIZES:
        units = [f"{place // size}" for place in range(num_videos)]
        weights_RN = resampling_weights(units, num_resamples=1000, seed=0)
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
            was = numbers(right_N, controls, weights_RN, len(set(units)))
            turned = [flipped(one_N, most, rng) for one_N in (right_N, *controls)]
            now = numbers(turned[0], turned[1:], weights_RN, len(set(units)))
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
