"""Measures how much a fit of a probe and forward passes slow one another down on one machine.

python -m bench.neighbours              r3d_tiny beside cloze probes of a playground's size
python -m bench.neighbours --rows 20000 beside larger probes
python -m bench.neighbours --json       the numbers for programs

A fit runs on one thread of OpenBLAS, as a worker's child does (`worker.runner.DEFAULTS`), and on all threads.
Forward passes run on all threads of torch. Each line starts one process or two at the same time, and prints
the milliseconds of one fit and of one batch. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from vcp_core.backbones import build
from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.probes.logistic import fit_logistic

COLUMNS = 768  # the relational head of r3d_tiny
BATCH_CLIPS = 16
SECONDS = 8.0  # that each process repeats its work
STARTED_AFTER_S = 8.0  # enough to import torch twice at once
WAYS = ("fit",), ("forward",), ("fit", "forward"), ("fit", "fit"), ("forward", "forward")


def fit(num_rows: int) -> Callable[[], object]:
    """Return a function that fits one probe. Columns are correlated, as a network's are."""
    rng = np.random.Generator(np.random.PCG64(0))
    labels_N = np.arange(num_rows) % len(OPTION_NAMES)
    mixing = rng.standard_normal((COLUMNS, COLUMNS), np.float32) / np.arange(1, COLUMNS + 1)[:, None]
    features_ND = rng.standard_normal((num_rows, COLUMNS), np.float32) @ mixing
    return lambda: fit_logistic(features_ND, labels_N, num_classes=len(OPTION_NAMES), l2=1e-3)


def forward() -> Callable[[], object]:
    """Return a function that forwards one batch."""
    network = build("r3d_tiny", seed=0).eval()
    clips = torch.randn(BATCH_CLIPS, 3, 16, 112, 112)

    def once() -> object:
        with torch.inference_mode():
            return network(clips)

    return once


def repeat(work: Callable[[], object], start: float) -> float:
    """Repeat the work from a time of `time.time` on, for `SECONDS`; return the milliseconds of one round."""
    work()
    time.sleep(max(0.0, start - time.time()))
    rounds, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        work()
        rounds += 1
    return 1000 * (time.perf_counter() - begun) / rounds


def together(jobs: Sequence[str], threads: int | None, num_rows: int) -> list[float]:
    """Run one process for each job at the same time; return the milliseconds of a round of each."""
    start = time.time() + STARTED_AFTER_S
    limit = {} if threads is None else {"OPENBLAS_NUM_THREADS": str(threads)}
    command = [
        sys.executable,
        "-m",
        "bench.neighbours",
        "--rows",
        str(num_rows),
        "--start",
        str(start),
        "--job",
    ]
    processes = [
        subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [*command, job], env={**os.environ, **limit}, stdout=subprocess.PIPE, text=True
        )
        for job in jobs
    ]
    return [float(process.communicate()[0]) for process in processes]


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=720)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", choices=("fit", "forward"), help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        print(repeat(fit(asked.rows) if asked.job == "fit" else forward(), asked.start))
        return
    found = []
    for threads in (1, None):
        for jobs in WAYS:
            milliseconds = together(jobs, threads, asked.rows)
            found.append({"blas_threads": threads or "all", "jobs": jobs, "ms": milliseconds})
            if not asked.json:
                parts = (f"{job} {ms:6.0f} ms" for job, ms in zip(jobs, milliseconds, strict=True))
                print(f"{threads or 'all':>3} threads of OpenBLAS: {', '.join(parts)}", flush=True)
    if asked.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
