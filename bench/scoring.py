"""Measures the time of scoring and comparing cloze. Answers are simulated.

python -m bench.scoring                    UCF101's size: 3,671 videos, five options each, two heads
python -m bench.scoring --groups 700       intervals by group
python -m bench.scoring --probe 1          a linear probe on so large a part of UCF101's training clips
python -m bench.scoring --threads          a cloze probe, with BLAS on one thread and on all
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from unittest import mock

import numpy as np

from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.probes.logistic import fit_logistic
from vcp_core.results.types import Fit, Predictions
from vcp_core.scoring.comparison import compare
from vcp_core.scoring.scores import score_benchmark

UCF101_CLASSES = 101
UCF101_CLIPS = 10 * 9537  # grid clips of the training side; trainlist01.txt
NUM_COLUMNS = 512  # of an r3d feature
UCF101_VIDEOS = 3671  # simulated videos; split 1's test side has 3,783 in all


def made_up(num_videos: int, num_groups: int, num_stages: int, seed: int) -> Predictions:
    """Simulated cloze answers, right more often than by chance."""
    rng = np.random.Generator(np.random.PCG64(seed))
    options = np.array([*OPTION_NAMES] * num_videos)
    videos = [i for i in range(num_videos) for _ in OPTION_NAMES]
    names = [
        head + at
        for at in ("", *(f"@{i}" for i in range(1, num_stages)))
        for head in ("relational", "concat")
    ]
    answers = {
        name: np.where(
            rng.random(len(options)) < 0.3, options, rng.choice(OPTION_NAMES, len(options))
        ).tolist()
        for name in names
    }
    return Predictions(
        benchmark="cloze",
        answers=OPTION_NAMES,
        columns={
            "video": [f"v{i:06d}" for i in videos],
            "group": [f"g{i % num_groups:06d}" if num_groups else None for i in videos],
            "option": options.tolist(),
            "variant": ["", "90", "1032", "before:21", "0-2"] * num_videos,
            **answers,
        },
        fits=tuple(
            Fit(name=name, l2=1.0, holdout_losses={}, converged=True, num_iterations=1, gradient_norm=0.0)
            for name in names
        ),
    )


def fit_probe(part: float) -> None:
    """Fit a probe on simulated clips, and print time, memory, and the extrapolation to UCF101's size."""
    rng = np.random.Generator(np.random.PCG64(0))
    num_rows = round(part * UCF101_CLIPS)
    labels = rng.integers(0, UCF101_CLASSES, num_rows)
    features = rng.standard_normal((num_rows, NUM_COLUMNS), np.float32)
    features *= 3
    centres = rng.standard_normal((UCF101_CLASSES, NUM_COLUMNS), np.float32)
    for row, label in zip(features, labels, strict=True):
        row += centres[label]
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    probe = fit_logistic(features, labels, num_classes=UCF101_CLASSES, l2=1e-3)
    took = time.perf_counter() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    each = took / probe.num_iterations
    print(
        f"a probe on {num_rows:,} clips of {NUM_COLUMNS} numbers, {features.nbytes >> 20} MiB of float32: "
        f"{took:.1f} s, {probe.num_iterations} iterations, converged: {probe.converged}, +{grown:.0f} MiB"
    )
    at_full_size = "" if part == 1 else f"; extrapolated, not measured: {each / part:.2f} s at UCF101's size"
    print(f"  {each:.3f} s an iteration{at_full_size}")


def fit_both_ways() -> None:
    """Fit the cloze probe of 144 videos as the library does, and with all threads of both BLAS."""
    rng = np.random.Generator(np.random.PCG64(0))
    labels = np.tile(np.arange(len(OPTION_NAMES)), 144)
    # Correlated columns, as a network's are: on independent ones L-BFGS needs too few iterations.
    mixing = rng.standard_normal((6 * 128, 6 * 128), np.float32) / np.arange(1, 6 * 128 + 1)[:, None]
    features = rng.standard_normal((len(labels), 6 * 128), np.float32) @ mixing

    def fit() -> float:
        begun = time.perf_counter()
        for l2 in (1e-1, 1e-2, 1e-3):
            fit_logistic(features, labels, num_classes=len(OPTION_NAMES), l2=l2)
        return time.perf_counter() - begun

    held = fit()
    with mock.patch("vcp_core.probes.solver.fewer_threads", return_value=nullcontext()):
        loose = fit()
    print(f"{features.shape[0]} x {features.shape[1]}, three strengths; {os.cpu_count()} cores; wall seconds")
    print(f"  BLAS on one thread {held:.2f}, on all of them {loose:.2f}: {loose / held:.1f} x")


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process, over all its threads."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    """Print CPU seconds of scoring and of comparing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=UCF101_VIDEOS)
    parser.add_argument("--groups", type=int, default=0, help="number of groups; 0: videos are the units")
    parser.add_argument("--stages", type=int, default=1)
    parser.add_argument("--probe", type=float, metavar="PART", help="fit on this part of UCF101's size")
    parser.add_argument(
        "--threads", action="store_true", help="compare SciPy's BLAS on one thread and on all"
    )
    arguments = parser.parse_args()
    if arguments.threads:
        return fit_both_ways()
    if arguments.probe:
        return fit_probe(arguments.probe)
    protocol = PROTOCOLS["standard-v1"]
    first, second = (made_up(arguments.videos, arguments.groups, arguments.stages, seed) for seed in (0, 1))
    works: dict[str, Callable[[], object]] = {
        "score": lambda: score_benchmark("cloze", first, {"0": second}, unavailable=None, protocol=protocol),
        "compare": lambda: compare({"cloze": first}, {"cloze": second}, protocol),
    }
    print(f"{arguments.videos:,} videos, {arguments.groups} groups, {len(first.fits)} heads; CPU seconds")
    for name, work in works.items():
        print(f"  {name:<8}{cpu_s(work):7.2f}", flush=True)


if __name__ == "__main__":
    main()
