"""Compares the solver of linear probes with its slow twin on made-up features: SciPy's L-BFGS in float64.

python -m bench.rehearsal.twin                     r3d's last stage on a tenth of UCF101's size
python -m bench.rehearsal.twin --stages all        every stage

For each probe: both strengths, the gap between the twin's two best held-out losses, and the time of both. For
all scores: the largest difference, in test videos. Exits with 1 if a score differs by more than one test
video, or if the strengths differ where the gap is over 1e-4.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

from bench.rehearsal.features import write_shards
from bench.rehearsal.manifest import like_ucf101
from vcp_core.benchmarks import predict
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank
from vcp_core.probes.holdout import holdout
from vcp_core.probes.logistic import FittedProbe, LogisticProbe, fit_with_holdout
from vcp_core.probes.rows import moments
from vcp_core.probes.solver import fewer_threads
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions
from vcp_core.scoring.scores import score_benchmark

Array = npt.NDArray[np.float64]
GAP = 1e-4  # of held-out losses: below it, either strength is as good
MOST_VIDEOS = 1 + 1e-6  # a score is a percentage, so one test video is 1 only up to rounding


def plain_path(
    rows_ND: Array,
    labels_N: npt.NDArray[Any],
    num_classes: int,
    strengths: Sequence[float],
    most: int,
    tolerance: float,
) -> Iterator[tuple[Array, int, float]]:
    """Weights with the bias as their last row, iterations and gradient, for descending strengths."""
    chosen_NK = np.eye(num_classes)[labels_N]
    theta = np.zeros((rows_ND.shape[1] + 1) * num_classes)
    for l2 in strengths:

        def cost(theta: Array, l2: float = l2) -> tuple[float, Array]:
            weights = theta.reshape(-1, num_classes)
            logs_NK = log_softmax(rows_ND @ weights[:-1] + weights[-1], axis=1)
            errors_NK = (np.exp(logs_NK) - chosen_NK) / len(rows_ND)
            loss = 0.5 * l2 * (weights[:-1] ** 2).sum() - (logs_NK * chosen_NK).sum() / len(rows_ND)
            gradient = np.vstack([rows_ND.T @ errors_NK + l2 * weights[:-1], errors_NK.sum(axis=0)])
            return float(loss), gradient.ravel()

        options = {"maxiter": most, "maxfun": 2 * most, "gtol": tolerance, "ftol": 0.0}
        found = minimize(cost, theta, jac=True, method="L-BFGS-B", options=options)
        theta = found.x
        yield theta.reshape(-1, num_classes), int(found.nit), float(np.abs(found.jac).max())


@dataclass
class Twin:
    """Stands in for `fit_with_holdout`. First it fits both ways, then it answers with the slow fits."""

    most_iterations: int
    failed: bool = False
    _slow_fits: deque[FittedProbe] = field(default_factory=deque)

    def replay(self, *_: Any, **__: Any) -> FittedProbe:
        """Give the next of the slow fits, in the order in which they were made."""
        return self._slow_fits.popleft()

    def fit_both(self, source: Any, labels_N: Any, units_N: Any, **how: Any) -> FittedProbe:
        """Fit both ways, print what differs, and give the fit of the library."""
        begun = time.perf_counter()
        ours = fit_with_holdout(source, labels_N, units_N, **how)
        middle = time.perf_counter()
        theirs = self._slow(source, labels_N, units_N, **how)
        took = time.perf_counter() - middle
        best = sorted(theirs.holdout_losses.values())
        gap = best[1] - best[0]
        agree = ours.l2 == theirs.l2 or gap <= GAP
        self.failed |= not agree
        line = (
            f"{source.shape[0]:>7} x {source.shape[1]:<6}l2 {ours.l2:g} and {theirs.l2:g}, gap {gap:.1e}; "
            f"{middle - begun:.1f} s and {took:.1f} s; iterations {ours.probe.num_iterations} and "
            f"{theirs.probe.num_iterations}{'' if theirs.probe.converged else ' (not converged)'}"
        )
        print(line, flush=True)
        self._slow_fits.append(theirs)
        return ours

    def _slow(
        self,
        source: Any,
        labels_N: npt.NDArray[Any],
        units_N: Sequence[str],
        *,
        num_classes: int,
        candidates: Sequence[float],
        holdout_fraction: float,
        max_iterations: int,
        tolerance: float,
        on_units: OnUnits = ignore,
    ) -> FittedProbe:
        strengths = sorted(candidates, reverse=True)
        everything_N = np.arange(len(labels_N))
        held_N, _ = holdout(units_N, labels_N, holdout_fraction)
        kept_N, judged_N = everything_N[~held_N], everything_N[held_N]

        def standardised(numbers_N: npt.NDArray[Any], mean_D: Array, scale_D: Array) -> Array:
            return np.asarray((source[numbers_N] - mean_D) / scale_D)

        mean_D, scale_D, _ = moments(source, kept_N)
        rows_ND, judged_ND = (standardised(part, mean_D, scale_D) for part in (kept_N, judged_N))
        losses = {}
        with fewer_threads(is_small=False):
            path = plain_path(
                rows_ND, labels_N[kept_N], num_classes, strengths, self.most_iterations, tolerance
            )
            for l2, (weights, _, _) in zip(strengths, path, strict=True):
                logs_NK = log_softmax(judged_ND @ weights[:-1] + weights[-1], axis=1)
                losses[l2] = float(-logs_NK[np.arange(len(logs_NK)), labels_N[judged_N]].mean())
            l2 = min(losses, key=lambda strength: (losses[strength], -strength))
            mean_D, scale_D, _ = moments(source, everything_N)
            rows_ND = standardised(everything_N, mean_D, scale_D)
            ((weights, iterations, gradient),) = plain_path(
                rows_ND, labels_N, num_classes, [l2], self.most_iterations, tolerance
            )
        probe = LogisticProbe(
            weights_DK=weights[:-1],
            bias_K=weights[-1],
            mean_D=mean_D,
            scale_D=scale_D,
            converged=gradient <= tolerance,
            num_iterations=iterations,
            gradient_norm=gradient,
        )
        return FittedProbe(
            probe=probe, l2=l2, holdout_losses={f"{one:g}": loss for one, loss in losses.items()}, notes=()
        )


def worst_difference(name: str, answers: Sequence[Predictions], protocol: Protocol) -> tuple[float, str]:
    """The largest difference of a score, in test videos, and the score's name."""
    scores = (score_benchmark(name, one, {}, unavailable=None, protocol=protocol).scores for one in answers)
    worst = (0.0, "")
    for a, b in zip(*scores, strict=True):
        worst = max(worst, (abs(a.value - b.value) * min(a.num_videos, b.num_videos) / 100, a.metric))
    return worst


def main() -> None:
    """Print a line for each probe, and one for each benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", type=float, default=0.1)
    parser.add_argument("--backbone", default="r3d")
    parser.add_argument("--stages", choices=("last", "all"), default="last")
    parser.add_argument("--most-iterations", type=int, default=1000, help="of the twin, for each strength")
    arguments = parser.parse_args()
    spec, protocol = BACKBONES[arguments.backbone], PROTOCOLS["standard-v1"]
    protocol = protocol.model_copy(
        update={"cloze": protocol.cloze.model_copy(update={"stages": arguments.stages})}
    )
    dataset = like_ucf101(arguments.part)
    plan = EvaluationPlan(dataset=dataset, protocol=protocol, spec=spec, benchmarks=("cloze", "recognition"))
    twin = Twin(arguments.most_iterations)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        dims = dict(zip(spec.stages, spec.stage_dims, strict=True))
        bank = FeatureBank(write_shards(plan.shards, dims, Path(folder)))
        for name, benchmark in plan.active.items():
            answers = []
            for fit in (twin.fit_both, twin.replay):
                with mock.patch(f"vcp_core.benchmarks.{name}.fit_with_holdout", fit):
                    answers.append(predict(benchmark, bank, dataset, protocol, spec))
            difference, metric = worst_difference(name, answers, protocol)
            failed |= difference > MOST_VIDEOS
            print(f"{name}: scores differ by {difference:.2f} test videos at most ({metric})", flush=True)
    raise SystemExit(failed or twin.failed)


if __name__ == "__main__":
    main()
