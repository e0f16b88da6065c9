"""The optimum of penalised multinomial logistic regression, in few passes over the rows.

The cost is mean cross-entropy + l2 / 2 * sum over features of penalty_D * |weights_DK|^2. The bias has no
penalty. The solver is L-BFGS (Nocedal and Wright, Numerical Optimization, chapter 7) with two changes:

- A preconditioner. The Hessian of the cross-entropy is close to c ZᵀZ / N for every class, where c is the
  mean of p (1 - p) (Böhning 1992 gives such a bound). One Cholesky factor for each L2 strength solves that
  system. With it, a fit takes tens of iterations where plain L-BFGS takes hundreds or does not converge.
- The logits are kept. They are linear in the step, so a line search needs no pass over the rows. An iteration
  needs two: one for the logits of the direction, one for the gradient. With fewer rows than features, the
  preconditioner needs four more.

Rows may be float32. Then the logits, which add up small steps, are recomputed in float64 before a fit counts
as converged. The gradient is summed in float32 by chunks, so tolerances below about 1e-8 need float64 rows.

Legend: N rows (samples), D features, K classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg
from threadpoolctl import ThreadpoolController

from vcp_core.probes.rows import Array, Floats, StandardisedRows, dtype_of, kept_bytes

Labels = npt.NDArray[np.integer]

MEMORY = 20  # steps that L-BFGS remembers
BLOCK = 1024  # columns of the preconditioner's matrix that are worked on at once
MOST_TRIALS = 30  # of one line search; its Newton steps usually need a few
LEFT_TO_GAIN = 1e-4  # of the L2 strength, as a loss; at most 1e-7, and at least 1e-8 with float32 rows
ROUNDING = 1e-14  # of a loss in float64
EXACT_SIDE = 4096  # a Cholesky factor of at most so many rows is made in float64
LOGITS_AT_ONCE = 6  # arrays (N, K) in a line search: logits and probabilities of two points, a change, errors


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Where the solver stopped.

    Attributes:
        weights_DK: Weights on the rows.
        bias_K: Bias of each class.
        num_iterations: Number of iterations.
        gradient_norm: Largest absolute entry of the gradient.
    """

    weights_DK: Array
    bias_K: Array
    num_iterations: int
    gradient_norm: float


class Solver:
    """Solves for the same rows several times: for several strengths, on all rows or on the first ones.

    Args:
        rows: The rows.
        labels_N: Class of every row.
        num_classes: K, two or more.
    """

    def __init__(self, rows: StandardisedRows, labels_N: Labels, num_classes: int) -> None:
        self._rows, self._labels_N, self._num_classes = rows, labels_N, num_classes
        self._preconditioner = _Preconditioner(rows)

    def path(
        self,
        num_rows: int,
        strengths: Sequence[float],
        *,
        penalty_D: Array,
        max_iterations: int,
        tolerance: float,
    ) -> Iterator[Solution]:
        """Solve for each strength in turn, on the first rows. Each starts where the one before ended.

        Args:
            num_rows: Number of rows.
            strengths: L2 strengths, above 0, the strongest first.
            penalty_D: Factor of the penalty for each feature, near 1: the preconditioner takes it for 1.
                Infinity means that the feature has no weight.
            max_iterations: The solver stops after so many for each strength, converged or not.
            tolerance: Upper limit of the largest absolute entry of the gradient.
        """
        fit = _Fit(self._rows, num_rows, self._labels_N, self._num_classes, penalty_D)
        for strength in strengths:
            self._preconditioner.factor(strength, fit.spread())
            with fewer_threads(is_small=self._rows.dtype == np.float64):
                solution = fit.solve(strength, self._preconditioner, max_iterations, tolerance)
            yield solution


def fit_bytes(num_rows: int, num_columns: int, num_classes: int) -> int:
    """Memory that a fit takes at most, about: rows, preconditioner, logits, and the remembered steps.

    `VCPBENCH_PROBE_MEMORY_MB` bounds the rows. Nothing bounds the logits, (N, K) in float64.

    >>> fit_bytes(46_000, 3072, 5) >> 20
    628
    """
    side = min(num_rows, num_columns)
    matrix = side**2 * (8 if side <= EXACT_SIDE else 4)
    whole = (
        num_rows * num_columns * dtype_of(num_rows * num_columns).itemsize if num_rows < num_columns else 0
    )
    logits = LOGITS_AT_ONCE * 8 * num_rows * num_classes
    steps = 3 * MEMORY * 8 * (num_columns + 1) * num_classes
    return kept_bytes(num_rows, num_columns) + matrix + whole + logits + steps


class _Point(NamedTuple):
    """Weights with the bias as their last row, their logits, and what follows from these."""

    theta: Array  # (D + 1, K)
    logits_NK: Array
    probabilities_NK: Array
    loss: float  # mean cross-entropy


class _Slope(NamedTuple):
    """A gradient (D + 1, K), and the same preconditioned."""

    gradient: Array
    preconditioned: Array


class _Step(NamedTuple):
    """A step, and the change of the slope along it."""

    step: Array
    change: _Slope
    curvature: float  # 1 / (step · change of the gradient)


class _Fit:
    """The problem, and the point that the solver has reached."""

    def __init__(
        self, rows: StandardisedRows, num_rows: int, labels_N: Labels, num_classes: int, penalty_D: Array
    ) -> None:
        self._rows, self._num_rows = rows, num_rows
        self._labels_N = labels_N[:num_rows]
        self._is_free_D1 = np.isfinite(penalty_D)[:, None]
        self._penalty_D1 = np.where(self._is_free_D1, penalty_D[:, None], 0.0)
        theta = np.zeros((rows.shape[1] + 1, num_classes))
        self._point = self._at(theta, np.zeros((num_rows, num_classes)))

    def spread(self) -> float:
        """The mean of p (1 - p), scaled so that the Hessian of equal probabilities is met exactly."""
        probabilities_NK = self._point.probabilities_NK
        square = float(np.vdot(probabilities_NK, probabilities_NK)) / self._num_rows
        return float(max((1.0 - square) / (probabilities_NK.shape[1] - 1), 1e-6))

    def solve(
        self, l2: float, preconditioner: _Preconditioner, max_iterations: int, tolerance: float
    ) -> Solution:
        def slope_at(point: _Point) -> _Slope:
            gradient = self._gradient(point, l2)
            return _Slope(gradient, self._free(preconditioner(gradient)))

        point, memory = self._point, deque[_Step](maxlen=MEMORY)
        slope = slope_at(point)
        is_exact = self._rows.dtype == np.float64  # rounding in float64 is far below any tolerance
        least = min(LEFT_TO_GAIN * l2, 1e-7)
        least = least if is_exact else max(least, 1e-8)
        iterations, fresh = 0, is_exact
        while True:
            norm = float(np.abs(slope.gradient).max())
            direction = -_apply_inverse(slope, memory)
            # Under a weak penalty, a small gradient can still be far from the optimum: the weights then move
            # by gradient / l2. The slope along Newton's direction is twice the loss that is left to gain.
            near = norm <= tolerance and -float(np.vdot(slope.gradient, direction)) <= least
            if near and not fresh:  # an exact pass is slow, so only before the end
                point = self._at(point.theta, self._logits(point.theta, exact=True))
                slope, fresh = slope_at(point), True
                continue
            if near or iterations == max_iterations:
                break
            following = self._search(point, direction, slope.gradient, l2)
            if following is None and memory:  # rounding has spoiled the remembered steps
                memory.clear()
                continue
            if following is None:  # no step lowers the loss any more: the precision of float64 is used up
                break
            before, slope = slope, slope_at(following)
            step = following.theta - point.theta
            change = _Slope(slope.gradient - before.gradient, slope.preconditioned - before.preconditioned)
            product = float(np.vdot(step, change.gradient))
            if product > 0:
                memory.append(_Step(step, change, 1.0 / product))
            point, fresh = following, is_exact
            iterations += 1
        self._point = point
        return Solution(
            weights_DK=point.theta[:-1].copy(),
            bias_K=point.theta[-1].copy(),
            num_iterations=iterations,
            gradient_norm=norm,
        )

    def _search(self, point: _Point, direction: Array, gradient: Array, l2: float) -> _Point | None:
        """Go along a direction until the slope has fallen to half: Newton's steps inside a bracket."""
        begin = float(np.vdot(gradient, direction))
        if not begin < 0:
            return None
        change_NK = self._logits(direction)
        rows_N = np.arange(self._num_rows)
        of_label = float(change_NK[rows_N, self._labels_N].mean())
        weighted = self._penalty_D1 * direction[:-1]
        penalty_slope = l2 * float(np.vdot(weighted, point.theta[:-1]))
        penalty_curve = l2 * float(np.vdot(weighted, direction[:-1]))
        low, high, length = 0.0, np.inf, 1.0
        for _ in range(MOST_TRIALS):
            trial = self._at(point.theta + length * direction, point.logits_NK + length * change_NK)
            mean_N = np.einsum("nk,nk->n", trial.probabilities_NK, change_NK)
            slope = float(mean_N.mean()) - of_label + penalty_slope + length * penalty_curve
            gain = trial.loss - point.loss + length * (penalty_slope + 0.5 * length * penalty_curve)
            if abs(slope) <= 0.5 * abs(begin) and gain <= ROUNDING:
                return trial
            low, high = (length, high) if slope < 0 else (low, length)
            square_N = np.einsum("nk,nk,nk->n", trial.probabilities_NK, change_NK, change_NK)
            curve = float((square_N - mean_N**2).mean()) + penalty_curve
            newton = length - slope / curve if curve > 0 else np.inf
            if not low < newton < high:
                newton = 2 * length if high == np.inf else (low + high) / 2
            length = newton
        return None

    def _at(self, theta: Array, logits_NK: Array) -> _Point:
        # Less the largest logit, so that `exp` cannot overflow.
        probabilities_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
        of_label_N = probabilities_NK[np.arange(self._num_rows), self._labels_N]
        np.exp(probabilities_NK, out=probabilities_NK)
        total_N = probabilities_NK.sum(axis=1)
        probabilities_NK /= total_N[:, None]
        return _Point(theta, logits_NK, probabilities_NK, float((np.log(total_N) - of_label_N).mean()))

    def _logits(self, theta: Array, *, exact: bool = False) -> Array:
        """Logits (N, K) in float64. `exact` multiplies in float64, too."""
        dtype = np.float64 if exact else self._rows.dtype
        weights_DK = theta[:-1].astype(dtype)
        logits_NK = np.empty((self._num_rows, theta.shape[1]))
        for span, rows in self._rows.chunks(0, self._num_rows):
            logits_NK[span] = rows.astype(dtype, copy=False) @ weights_DK
        logits_NK += theta[-1]
        return logits_NK

    def _gradient(self, point: _Point, l2: float) -> Array:
        errors_NK = point.probabilities_NK.copy()
        errors_NK[np.arange(self._num_rows), self._labels_N] -= 1
        errors_NK /= self._num_rows
        gradient = np.empty_like(point.theta)
        gradient[:-1] = l2 * self._penalty_D1 * point.theta[:-1]
        gradient[-1] = errors_NK.sum(axis=0)
        for span, rows in self._rows.chunks(0, self._num_rows):
            gradient[:-1] += (errors_NK[span].T.astype(self._rows.dtype) @ rows).T
        return self._free(gradient)

    def _free(self, vector: Array) -> Array:
        """Set what belongs to features without a weight to 0."""
        vector[:-1] *= self._is_free_D1
        return vector


def _apply_inverse(slope: _Slope, memory: Sequence[_Step]) -> Array:
    """L-BFGS's product of its inverse Hessian and the gradient, by the two loops.

    The preconditioner is linear. So the first loop takes the same share of each step from the gradient and
    from the preconditioned gradient, and the preconditioner is applied once for each gradient.
    """
    rest, direction, shares = slope.gradient.copy(), slope.preconditioned.copy(), []
    for one in reversed(memory):
        shares.append(one.curvature * float(np.vdot(one.step, rest)))
        rest -= shares[-1] * one.change.gradient
        direction -= shares[-1] * one.change.preconditioned
    if memory:  # scale the preconditioner so that it is right along the last step
        change, curvature = memory[-1].change, memory[-1].curvature
        direction /= curvature * float(np.vdot(change.gradient, change.preconditioned))
    for one, share in zip(memory, reversed(shares), strict=True):
        direction += one.step * (share - one.curvature * float(np.vdot(one.change.gradient, direction)))
    return direction


class _Preconditioner:
    """The inverse of c ZᵀZ / N + l2 I, the same for every class, by a Cholesky factor.

    With fewer rows than features, the factor is that of the smaller matrix ZZᵀ + (l2 N / c) I (Woodbury).

    For 12,288 columns, a second matrix would take 600 MB. So the matrix without the penalty stays in the
    upper triangle, its diagonal stays beside it, and the lower triangle holds the factor.
    """

    def __init__(self, rows: StandardisedRows) -> None:
        self._rows = rows
        num_rows, num_columns = rows.shape
        self._is_dual = num_rows < num_columns
        side = min(rows.shape)
        dtype = np.float64 if side <= EXACT_SIDE else np.float32
        self._matrix = np.zeros((side, side), dtype, order="F")  # LAPACK would copy a matrix in C's order
        if self._is_dual:
            whole_ND = np.empty(rows.shape, rows.dtype)
            for span, chunk in rows.chunks(0, num_rows):
                whole_ND[span] = chunk
            for block in _blocks(side):
                self._matrix[: block.stop, block] = whole_ND[: block.stop] @ whole_ND[block].T
        else:
            for _, chunk in rows.chunks(0, num_rows):
                for block in _blocks(side):
                    self._matrix[: block.stop, block] += chunk[:, : block.stop].T @ chunk[:, block]
            self._matrix /= num_rows
        self._diagonal = self._matrix.diagonal().copy()

    def factor(self, l2: float, spread: float) -> None:
        """Prepare for a strength and a mean of p (1 - p)."""
        self._l2, self._spread = l2, spread
        shift = l2 / spread * (self._rows.shape[0] if self._is_dual else 1)
        while True:
            self._restore(shift)
            try:
                self._factor = scipy.linalg.cho_factor(
                    self._matrix, lower=True, overwrite_a=True, check_finite=False
                )
                return
            except np.linalg.LinAlgError:  # not positive after rounding; a larger shift only costs iterations
                shift = 10 * max(shift, 1e-6 * float(self._diagonal.max()))

    def _restore(self, shift: float) -> None:
        """Copy the upper triangle into the lower one, and set the diagonal."""
        for block in _blocks(len(self._matrix)):
            self._matrix[block, : block.start] = self._matrix[: block.start, block].T
            upper = np.triu(self._matrix[block, block], 1)
            self._matrix[block, block] = upper + upper.T
        np.fill_diagonal(self._matrix, self._diagonal + shift)

    def __call__(self, theta: Array) -> Array:
        result = np.empty_like(theta)
        if self._is_dual:
            weights_DK = theta[:-1].astype(self._rows.dtype)
            num_rows = self._rows.shape[0]
            sums_NK = np.empty((num_rows, theta.shape[1]))
            for span, rows in self._rows.chunks(0, num_rows):
                sums_NK[span] = rows @ weights_DK
            solved_NK = self._solve(sums_NK)
            result[:-1] = theta[:-1]
            for span, rows in self._rows.chunks(0, num_rows):
                result[:-1] -= (solved_NK[span].T.astype(self._rows.dtype) @ rows).T
            result[:-1] /= self._l2
        else:
            result[:-1] = self._solve(theta[:-1]) / self._spread
        result[-1] = theta[-1] / self._spread
        return result

    def _solve(self, right: Array) -> Floats:
        right = right.astype(self._matrix.dtype)
        # A check for NaN would read the whole factor each time. `moments` has refused such features.
        solved: Floats = scipy.linalg.cho_solve(self._factor, right, check_finite=False)
        return solved


def _blocks(side: int) -> Iterator[slice]:
    """Cut the columns of a matrix into blocks, so that no temporary array is as large as the matrix."""
    for start in range(0, side, BLOCK):
        yield slice(start, min(start + BLOCK, side))


def fewer_threads(*, is_small: bool) -> AbstractContextManager[object]:
    """Limit the threads of OpenBLAS while a fit iterates.

    The wheels of NumPy and of SciPy each contain an OpenBLAS with its own threads. A fit calls both in turn,
    and the waiting threads of one keep the threads of the other off the cores. A fit took 15 times as long on
    two cores (docs/decisions/2026-11-26-two-blas.md). Between two passes over the rows, SciPy only solves by
    a factor, and one thread is enough for that. The factor itself is made with all threads.

    Args:
        is_small: Limit NumPy's OpenBLAS, too. Products of few rows are no faster on two threads
            (docs/decisions/2026-11-29-threads.md).
    """
    found = ThreadpoolController()
    if not is_small:
        paths = [library["filepath"] for library in found.info()]
        scipys = [path for path in paths if {"scipy.libs", "scipy"} & {*Path(path).parts[-3:]}]
        found = found.select(filepath=scipys)
    limited: AbstractContextManager[object] = found.limit(limits=1, user_api="blas")
    return limited
