"""The linear probe: multinomial logistic regression on frozen features (PROTOCOL 4).

Legend: N rows (samples), D features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from vcp_core.probes.holdout import Labels, holdout
from vcp_core.probes.rows import Array, Moments, Source, StandardisedRows, moments, spans
from vcp_core.probes.solver import Solution, Solver
from vcp_core.progress import OnUnits, ignore


@dataclass(frozen=True, kw_only=True)
class LogisticProbe:
    """A fitted multinomial logistic regression on standardised features.

    Attributes:
        weights_DK: Weights on standardised features.
        bias_K: Bias of each class; the penalty does not apply to it.
        mean_D: Mean of the training rows.
        scale_D: Standard deviation of the training rows; 1 where a column is constant.
        converged: Whether the gradient came below the tolerance.
        num_iterations: Number of iterations of the solver.
        gradient_norm: Largest absolute entry of the gradient where the solver stopped.
    """

    weights_DK: Array
    bias_K: Array
    mean_D: Array
    scale_D: Array
    converged: bool
    num_iterations: int
    gradient_norm: float

    def log_probabilities(self, features_ND: Source) -> Array:
        """Log-probability of every class, (N, K)."""
        numbers_N = np.arange(features_ND.shape[0])
        parts = []
        for span in spans(*features_ND.shape):
            rows = (features_ND[numbers_N[span]] - self.mean_D) / self.scale_D
            parts.append(log_softmax(rows @ self.weights_DK + self.bias_K, axis=1))
        return np.concatenate(parts)

    def probabilities(self, features_ND: Source) -> Array:
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
    features_ND: Source,
    labels_N: Labels,
    *,
    num_classes: int,
    l2: float,
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
) -> LogisticProbe:
    """Minimise mean cross-entropy + l2 / 2 * |weights|^2 on standardised features (`vcp_core.probes.solver`).

    For three classes or more scikit-learn's `LogisticRegression(C=1 / (N * l2))` has the same optimum.

    >>> features_ND, labels_N = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> probe = fit_logistic(features_ND, labels_N, num_classes=2, l2=0.01)
    >>> probe.probabilities(np.array([[-3.0], [3.0]])).argmax(axis=1).tolist()
    [0, 1]

    Args:
        features_ND: Rows, float32 or float64; an array, or what makes rows when asked.
        labels_N: Class of every row, 0 .. num_classes - 1.
        num_classes: K.
        l2: Strength of the penalty; the bias has none.
        max_iterations: The solver stops after so many iterations, converged or not.
        tolerance: Upper limit of the largest absolute entry of the gradient.

    Raises:
        ValueError: If there are fewer than two classes, the strength is not above 0, or a feature is NaN or
            infinite.
    """
    if num_classes < 2 or l2 <= 0:
        raise ValueError(f"A fit needs two classes and an L2 strength above 0, not {num_classes} and {l2:g}.")
    numbers_N = np.arange(len(labels_N))
    whole = moments(features_ND, numbers_N)
    rows = StandardisedRows(features_ND, numbers_N, whole.mean_D, whole.scale_D)
    (solution,) = Solver(rows, labels_N, num_classes).path(
        len(labels_N),
        [l2],
        penalty_D=np.ones_like(whole.scale_D),
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return _probe(solution, whole, tolerance)


def fit_with_holdout(
    features_ND: Source,
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

    A candidate that did not converge is judged by the weights where the solver stopped, and a note names it.

    Args:
        features_ND: Training rows; an array, or what makes rows when asked.
        labels_N: Their classes.
        units_N: Group (or video) of every row. A unit is held out whole: its rows are not independent.
        num_classes: K.
        candidates: Strengths to choose from.
        holdout_fraction: Part of the units that is held out.
        max_iterations: As for `fit_logistic`.
        tolerance: As for `fit_logistic`.
        on_units: Called with 1 after each fit; the calls add up to `num_fits(candidates)`.

    Raises:
        ValueError: If a feature is NaN or infinite.

    >>> features_ND = np.array([[-2.0], [-1.0], [-3.0], [1.0], [2.0], [3.0]])
    >>> labels_N, videos_N = np.array([0, 0, 0, 1, 1, 1]), list("abcdef")
    >>> fitted = fit_with_holdout(features_ND, labels_N, videos_N, num_classes=2, candidates=(0.001, 10.0))
    >>> fitted.l2, sorted(fitted.holdout_losses)
    (0.001, ['0.001', '10'])
    """
    # The strongest first: the solver starts each fit where the one before ended.
    strengths = sorted(candidates, reverse=True)
    held_N, note = holdout(units_N, labels_N, holdout_fraction)
    notes = [] if note is None else [note]
    kept_N = np.flatnonzero(~held_N)
    # The rows that are kept come first, so that both fits read the same rows, and memory holds them once.
    order_N = np.concatenate([kept_N, np.flatnonzero(held_N)])
    whole = moments(features_ND, order_N)
    rows = StandardisedRows(features_ND, order_N, whole.mean_D, whole.scale_D)
    labels_N = labels_N[order_N]
    solver = Solver(rows, labels_N, num_classes)
    losses: dict[float, float] = {}
    stopped: list[str] = []
    if len(strengths) > 1 and held_N.any():
        # The penalty is that of rows standardised by themselves: scaling a column by s scales its weight by
        # 1 / s, and a shift goes into the bias. A column that is constant in these rows is only a shift, so
        # it has no weight.
        kept = moments(features_ND, kept_N)
        path = solver.path(
            len(kept_N),
            strengths,
            penalty_D=np.where(kept.is_constant_D, np.inf, (kept.scale_D / whole.scale_D) ** 2),
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        for strength, solution in zip(strengths, path, strict=True):
            losses[strength] = _loss(rows, len(kept_N), labels_N, solution)
            if not solution.gradient_norm <= tolerance:
                stopped.append(f"{strength:g} (gradient {solution.gradient_norm:.1e})")
            on_units(1)
    # Of equal losses, the stronger penalty.
    chosen = min(losses, key=lambda strength: (losses[strength], -strength)) if losses else strengths[0]
    if stopped:
        notes.append(f"L2 strengths that did not converge where one was chosen: {', '.join(stopped)}")
    if losses and chosen in (strengths[0], strengths[-1]):
        notes.append(f"the chosen L2 strength {chosen:g} is at the edge of the sweep")
    (solution,) = solver.path(
        len(order_N),
        [chosen],
        penalty_D=np.ones_like(whole.scale_D),
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    on_units(num_fits(candidates) - len(losses))  # the last fit, and the fits of a skipped choice
    return FittedProbe(
        probe=_probe(solution, whole, tolerance),
        l2=chosen,
        holdout_losses={f"{strength:g}": loss for strength, loss in losses.items()},
        notes=tuple(notes),
    )


def num_fits(candidates: Sequence[float]) -> int:
    """How many fits `fit_with_holdout` reports: one for each candidate, and the last one on every row.

    >>> num_fits((0.001, 0.01, 0.1))
    4
    """
    return len(candidates) + 1


def _probe(solution: Solution, whole: Moments, tolerance: float) -> LogisticProbe:
    return LogisticProbe(
        weights_DK=solution.weights_DK,
        bias_K=solution.bias_K,
        mean_D=whole.mean_D,
        scale_D=whole.scale_D,
        converged=solution.gradient_norm <= tolerance,
        num_iterations=solution.num_iterations,
        gradient_norm=solution.gradient_norm,
    )


def _loss(rows: StandardisedRows, begin: int, labels_N: Labels, solution: Solution) -> float:
    """Mean log loss of the rows from `begin` on."""
    total = 0.0
    for span, chunk in rows.chunks(begin, len(labels_N)):
        log_NK = log_softmax(chunk @ solution.weights_DK + solution.bias_K, axis=1)
        total -= float(log_NK[np.arange(len(log_NK)), labels_N[span]].sum())
    return total / (len(labels_N) - begin)
