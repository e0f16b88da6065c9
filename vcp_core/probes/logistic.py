"""The linear probe: multinomial logistic regression on frozen features (PROTOCOL 4).

Legend: N rows (samples), D features, K classes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import ThreadpoolController

from vcp_core.progress import OnUnits, ignore

Floats = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer[Any]]

CHUNK_ROWS = 8192
KEPT_BYTES = 256 << 20  # standardised float64 rows up to this size stay in memory; larger ones are recomputed


@dataclass(frozen=True, kw_only=True)
class LogisticProbe:
    """A fitted multinomial logistic regression on standardised features.

    Attributes:
        weights_DK: Weights on standardised features.
        bias_K: Bias of each class; the penalty does not apply to it.
        mean_D: Mean of the training rows.
        scale_D: Standard deviation of the training rows; 1 where a column is constant.
        converged: Whether the gradient came below the tolerance.
        num_iterations: Number of L-BFGS iterations.
        gradient_norm: Largest absolute entry of the gradient where L-BFGS stopped.
    """

    weights_DK: Array
    bias_K: Array
    mean_D: Array
    scale_D: Array
    converged: bool
    num_iterations: int
    gradient_norm: float

    def log_probabilities(self, features_ND: Floats) -> Array:
        """Log-probability of every class, (N, K)."""
        parts = [
            log_softmax(rows @ self.weights_DK + self.bias_K, axis=1)
            for _, rows in _standardised(features_ND, self.mean_D, self.scale_D)
        ]
        return np.concatenate(parts)

    def probabilities(self, features_ND: Floats) -> Array:
        """Probability of every class, (N, K)."""
        return np.exp(self.log_probabilities(features_ND))


@dataclass(frozen=True, kw_only=True)
class FittedProbe:
    """A probe whose L2 strength was chosen on a part of its training rows, then refitted on all of them.

    Attributes:
        probe: The probe, fitted on every row.
        l2: The chosen strength.
        holdout_losses: Mean log loss on the held-out part, by candidate.
        notes: Remarks for readers of the score, such as a strength at the edge of the sweep.
    """

    probe: LogisticProbe
    l2: float
    holdout_losses: dict[str, float]
    notes: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        """The facts of the fit, without its weights."""
        return {
            "l2": self.l2,
            "holdout_losses": self.holdout_losses,
            "converged": self.probe.converged,
            "num_iterations": self.probe.num_iterations,
            "gradient_norm": self.probe.gradient_norm,
            "notes": self.notes,
        }


def fit_logistic(
    features_ND: Floats,
    labels_N: Labels,
    *,
    num_classes: int,
    l2: float,
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
) -> LogisticProbe:
    """Minimise mean cross-entropy + l2 / 2 * |weights|^2 by L-BFGS, on standardised features.

    For three classes or more scikit-learn's `LogisticRegression(C=1 / (N * l2))` has the same optimum.

    >>> features_ND, labels_N = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> probe = fit_logistic(features_ND, labels_N, num_classes=2, l2=0.01)
    >>> probe.probabilities(np.array([[-3.0], [3.0]])).argmax(axis=1).tolist()
    [0, 1]

    Args:
        features_ND: Rows, float32 or float64; they may be a memory map.
        labels_N: Class of every row, 0 .. num_classes - 1.
        num_classes: K.
        l2: Strength of the penalty; the bias has none.
        max_iterations: L-BFGS stops after so many iterations, converged or not.
        tolerance: Upper limit of the largest absolute entry of the gradient.
    """
    return next(_path(features_ND, labels_N, num_classes, [l2], max_iterations, tolerance))


def fit_with_holdout(
    features_ND: Floats,
    labels_N: Labels,
    units_N: Sequence[str],
    *,
    num_classes: int,
    candidates: Sequence[float],
    holdout_fraction: float = 0.2,
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
    on_units: OnUnits = ignore,
) -> FittedProbe:
    """Choose the L2 strength on held-out units by log loss, then fit on everything.

    A candidate that did not converge is judged by the weights where L-BFGS stopped, and a note names it.

    Args:
        features_ND: Training rows.
        labels_N: Their classes.
        units_N: Group (or video) of every row. A unit is held out whole: its rows are not independent.
        num_classes: K.
        candidates: Strengths to choose from.
        holdout_fraction: Part of the units that is held out.
        max_iterations: As for `fit_logistic`.
        tolerance: As for `fit_logistic`.
        on_units: Called with 1 after each fit; the calls add up to `num_fits(candidates)`.
    """
    strengths = sorted(candidates, reverse=True)
    held_N, note = holdout(units_N, labels_N, holdout_fraction)
    notes = [] if note is None else [note]
    losses: dict[float, float] = {}
    stopped: list[str] = []
    if len(strengths) > 1 and held_N.any():
        path = _path(
            features_ND[~held_N], labels_N[~held_N], num_classes, strengths, max_iterations, tolerance
        )
        for strength, probe in zip(strengths, path, strict=True):
            log_NK = probe.log_probabilities(features_ND[held_N])
            losses[strength] = float(-log_NK[np.arange(len(log_NK)), labels_N[held_N]].mean())
            if not probe.converged:
                stopped.append(f"{strength:g} (gradient {probe.gradient_norm:.1e})")
            on_units(1)
    chosen = min(losses, key=lambda strength: (losses[strength], -strength)) if losses else strengths[0]
    if stopped:
        notes.append(f"L2 strengths that did not converge where one was chosen: {', '.join(stopped)}")
    if losses and chosen in (strengths[0], strengths[-1]):
        notes.append(f"the chosen L2 strength {chosen:g} is at the edge of the sweep")
    probe = fit_logistic(
        features_ND,
        labels_N,
        num_classes=num_classes,
        l2=chosen,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    on_units(num_fits(candidates) - len(losses))  # the last fit, and the fits of a skipped choice
    return FittedProbe(
        probe=probe,
        l2=chosen,
        holdout_losses={f"{strength:g}": loss for strength, loss in losses.items()},
        notes=tuple(notes),
    )


def num_fits(candidates: Sequence[float]) -> int:
    """How many fits `fit_with_holdout` reports: one for each candidate, and the last one on every row."""
    return len(candidates) + 1


def holdout(
    units_N: Sequence[str], labels_N: Labels, fraction: float
) -> tuple[npt.NDArray[np.bool_], str | None]:
    """Choose the rows that are held out: one unit of every n, where n is 1 / `fraction`.

    Units are sorted by (most frequent class, hash of the unit's name). If each group has one class, every
    class of n units or more loses some. If groups mix classes, whole groups are held out. The last unit of a
    class is never held out: a probe fitted without a class would be judged by its errors on that class.

    Returns:
        A mask (N,), and a note where classes could not be held out by the unit.

    >>> groups = ["g1", "g1", "g2", "g2", "g3", "g3", "g4", "g4"]
    >>> mask_N, note = holdout(groups, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.5)
    >>> mask_N.tolist(), note
    ([False, False, True, True, True, True, False, False], None)
    """
    labels_of: dict[str, Counter[int]] = {}
    for unit, label in zip(units_N, labels_N.tolist(), strict=True):
        labels_of.setdefault(unit, Counter())[label] += 1

    def rank(unit: str) -> tuple[int, str]:
        # Equal counts go to the lower class, never to the one that arrived first.
        label = min(labels_of[unit].items(), key=lambda item: (-item[1], item[0]))[0]
        return label, hashlib.sha256(unit.encode()).hexdigest()

    every = max(2, round(1 / fraction))
    ordered = sorted(labels_of, key=rank)
    units_left = Counter(label for labels in labels_of.values() for label in labels)
    lone = sum(count == 1 for count in units_left.values())
    held: list[str] = []
    for start in range(0, len(ordered), every):
        spare = (u for u in ordered[start : start + every] if all(units_left[k] > 1 for k in labels_of[u]))
        for unit in itertools.islice(spare, 1):
            held.append(unit)
            units_left.subtract(labels_of[unit].keys())
    if held:
        note = f"{lone} of {len(units_left)} classes have one training group (or video) only, never held out"
        return np.isin(np.asarray(units_N), held), note if lone else None
    rows_N = _every_nth_row_of_each_class(labels_N, every)
    what = "its rows were split" if rows_N.any() else "nothing could be held out"
    return rows_N, f"a class has one training group (or video) only: {what} to choose the L2 strength"


def _every_nth_row_of_each_class(labels_N: Labels, every: int) -> npt.NDArray[np.bool_]:
    """Hold out every n-th row of each class, from the second on: the fit needs a row of every class."""
    held_N = np.zeros(len(labels_N), bool)
    for label in np.unique(labels_N):
        held_N[np.flatnonzero(labels_N == label)[1::every]] = True
    return held_N


def _path(
    features_ND: Floats,
    labels_N: Labels,
    num_classes: int,
    strengths: Sequence[float],
    max_iterations: int,
    tolerance: float,
) -> Iterator[LogisticProbe]:
    """Fit probes for descending strengths. Each fit starts at the solution of the one before."""
    mean_D, scale_D = _moments(features_ND)
    basis_DR: Array | None = None
    rows: list[tuple[slice, Array]] | None = None
    if features_ND.size * 8 <= KEPT_BYTES:
        rows = [(span, part.copy()) for span, part in _standardised(features_ND, mean_D, scale_D)]
        if features_ND.shape[0] < features_ND.shape[1]:
            # The penalised optimum lies in the span of the rows. With fewer rows than columns the span has
            # fewer dimensions, so we solve there (3 times faster at 200 x 768). A rotation does not change
            # the penalty, so the optimum is the same.
            whole_ND = np.concatenate([part for _, part in rows])
            basis_DR, corner = np.linalg.qr(whole_ND.T)
            rows = [(slice(0, len(whole_ND)), np.ascontiguousarray(corner.T))]
    dimension = features_ND.shape[1] if basis_DR is None else basis_DR.shape[1]
    theta = np.zeros((dimension + 1) * num_classes)
    for strength in strengths:
        with _scipys_blas_on_one_thread():
            found = minimize(
                _objective,
                theta,
                args=(
                    lambda: rows or _standardised(features_ND, mean_D, scale_D),
                    labels_N,
                    num_classes,
                    strength,
                ),
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxiter": max_iterations,
                    "maxfun": 2 * max_iterations,
                    "gtol": tolerance,
                    "ftol": 0.0,
                },
            )
        theta = found.x
        weights = theta.reshape(dimension + 1, num_classes)
        gradient_norm = float(np.abs(found.jac).max())
        yield LogisticProbe(
            weights_DK=weights[:-1].copy() if basis_DR is None else basis_DR @ weights[:-1],
            bias_K=weights[-1].copy(),
            mean_D=mean_D,
            scale_D=scale_D,
            converged=gradient_norm <= tolerance,
            num_iterations=int(found.nit),
            gradient_norm=gradient_norm,
        )


def _scipys_blas_on_one_thread() -> AbstractContextManager[object]:
    """Limit SciPy's own OpenBLAS to one thread, and leave NumPy's alone.

    The wheels of NumPy and of SciPy each contain an OpenBLAS with its own threads. L-BFGS calls both in turn,
    and the waiting threads of one keep the threads of the other off the cores. A fit took 15 times as long on
    two cores (docs/decisions/2026-11-26-two-blas.md). SciPy's part is only sums, so one thread is enough.
    """
    controller = ThreadpoolController()
    paths = [library["filepath"] for library in controller.info()]
    own = [path for path in paths if {"scipy.libs", "scipy"} & {*Path(path).parts[-3:]}]
    limited: AbstractContextManager[object] = controller.select(filepath=own).limit(limits=1, user_api="blas")
    return limited


def _objective(
    theta: Array, chunks: Any, labels_N: Labels, num_classes: int, l2: float
) -> tuple[float, Array]:
    weights = theta.reshape(-1, num_classes)
    num_rows = len(labels_N)
    loss = 0.5 * l2 * float((weights[:-1] ** 2).sum())
    gradient = np.zeros_like(weights)
    gradient[:-1] = l2 * weights[:-1]
    for span, rows in chunks():
        labels = labels_N[span]
        log_NK = log_softmax(rows @ weights[:-1] + weights[-1], axis=1)
        loss -= float(log_NK[np.arange(len(labels)), labels].sum()) / num_rows
        error_NK = np.exp(log_NK)
        error_NK[np.arange(len(labels)), labels] -= 1
        error_NK /= num_rows
        gradient[:-1] += rows.T @ error_NK
        gradient[-1] += error_NK.sum(axis=0)
    return loss, gradient.ravel()


def _moments(features_ND: Floats) -> tuple[Array, Array]:
    mean_D = np.mean(features_ND, axis=0, dtype=np.float64)
    variance_D = np.zeros_like(mean_D)
    for span in _spans(len(features_ND)):
        variance_D += ((features_ND[span] - mean_D) ** 2).sum(axis=0)
    scale_D = np.sqrt(variance_D / len(features_ND))
    # The deviation of a constant column is rounding noise. Dividing by noise would make a feature of it.
    constant_D = scale_D <= 1e-6 * np.maximum(np.abs(mean_D), 1e-6)
    return np.asarray(mean_D), np.where(constant_D, 1.0, scale_D)


def _standardised(features_ND: Floats, mean_D: Array, scale_D: Array) -> Iterator[tuple[slice, Array]]:
    """Standardised rows in float64, one chunk at a time. The next chunk reuses the memory."""
    buffer = np.empty((min(CHUNK_ROWS, len(features_ND)), features_ND.shape[1]))
    for span in _spans(len(features_ND)):
        rows = buffer[: span.stop - span.start]
        np.subtract(features_ND[span], mean_D, out=rows)
        rows /= scale_D
        yield span, rows


def _spans(num_rows: int) -> Iterator[slice]:
    for start in range(0, num_rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, num_rows))
