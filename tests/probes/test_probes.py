"""Probes: against scikit-learn and slow twins, whatever the order of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.probes import rows as probe_rows
from vcp_core.probes import solver
from vcp_core.probes.holdout import holdout
from vcp_core.probes.knn import knn_probabilities
from vcp_core.probes.logistic import FittedProbe, fit_logistic, fit_with_holdout
from vcp_core.probes.rows import StandardisedRows


def problem(
    rows: int, columns: int, classes: int, seed: int = 0, noise: float = 2
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    labels[:classes] = np.arange(classes)
    centres = rng.standard_normal((classes, columns))
    features = centres[labels] + noise * rng.standard_normal((rows, columns))
    return (features * rng.uniform(0.1, 50, columns)).astype(np.float32), labels


@pytest.mark.parametrize(("rows", "columns", "classes"), [(200, 10, 3), (40, 100, 5), (500, 5, 2)])
@pytest.mark.parametrize("l2", [1e-3, 1e-1, 10.0])
def test_logistic_regression_equals_scikit_learns(rows: int, columns: int, classes: int, l2: float) -> None:
    features, labels = problem(rows, columns, classes)
    ours = fit_logistic(features, labels, num_classes=classes, l2=l2, tolerance=1e-8)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    penalties = 2 if classes == 2 else 1  # scikit-learn has one vector for two classes, we have w/2 and -w/2
    theirs = LogisticRegression(C=penalties / (rows * l2), tol=1e-10, max_iter=10_000).fit(scaled, labels)
    assert ours.converged
    expected = theirs.predict_proba(scaled)
    np.testing.assert_allclose(ours.probabilities(features), expected, atol=1e-5)


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(6, 40),
    columns=st.integers(1, 50),
    classes=st.integers(3, 5),
    strength=st.floats(1e-2, 10),
)
@settings(max_examples=15, deadline=None)
def test_logistic_regression_equals_scikit_learns_on_any_problem(
    seed: int, rows: int, columns: int, classes: int, strength: float
) -> None:
    features, labels = problem(rows, columns, classes, seed)
    ours = fit_logistic(features, labels, num_classes=classes, l2=strength, tolerance=1e-9)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    theirs = LogisticRegression(C=1 / (rows * strength), tol=1e-10, max_iter=10_000).fit(scaled, labels)
    assert ours.converged == (ours.gradient_norm <= 1e-9)
    np.testing.assert_allclose(ours.probabilities(features), theirs.predict_proba(scaled), atol=2e-5)


def plain_lbfgs(
    features: np.ndarray, labels: np.ndarray, classes: int, l2: float, tolerance: float
) -> tuple[np.ndarray, float]:
    """The slow twin: SciPy's L-BFGS on standardised float64 rows. Gives probabilities and the loss."""
    rows = StandardScaler().fit_transform(features.astype(np.float64))
    chosen = np.eye(classes)[labels]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        weights = theta.reshape(-1, classes)
        logs = log_softmax(rows @ weights[:-1] + weights[-1], axis=1)
        errors = (np.exp(logs) - chosen) / len(rows)
        gradient = np.vstack([rows.T @ errors + l2 * weights[:-1], errors.sum(axis=0)])
        value = -(logs * chosen).sum() / len(rows) + 0.5 * l2 * (weights[:-1] ** 2).sum()
        return value, gradient.ravel()

    start = np.zeros((rows.shape[1] + 1) * classes)
    options = {"maxiter": 20_000, "maxfun": 40_000, "gtol": tolerance, "ftol": 0.0}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights = found.x.reshape(-1, classes)
    return np.exp(log_softmax(rows @ weights[:-1] + weights[-1], axis=1)), float(found.fun)


@pytest.mark.parametrize(("rows", "columns", "classes"), [(60, 20, 3), (30, 80, 4), (120, 119, 5)])
@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("single", [False, True])
def test_the_solver_finds_the_optimum_of_plain_lbfgs(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int, classes: int, l2: float, single: bool
) -> None:
    if single:
        monkeypatch.setattr(probe_rows, "EXACT_BYTES", 0)
    features, labels = problem(rows, columns, classes)
    ours = fit_logistic(features, labels, num_classes=classes, l2=l2, tolerance=1e-6)
    assert ours.converged
    expected, _ = plain_lbfgs(features, labels, classes, l2, 1e-7)
    np.testing.assert_allclose(ours.probabilities(features), expected, atol=1e-3 if l2 < 1e-3 else 2e-5)


def test_a_preconditioned_fit_takes_few_iterations_where_columns_are_correlated() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 60)) @ (
        rng.standard_normal((60, 60)) / np.arange(1, 61)[:, None] ** 2
    )
    labels = rng.integers(0, 4, 600)
    fitted = fit_logistic(features, labels, num_classes=4, l2=1e-5)
    assert fitted.converged
    assert fitted.num_iterations <= 15


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_gradient_is_that_of_the_loss(seed: int) -> None:
    features, labels = problem(12, 4, 3, seed)
    everything = np.arange(12)
    rows = StandardisedRows(features, everything, *probe_rows.moments(features, everything)[:2])
    penalty = np.random.default_rng(seed).uniform(0.5, 2, 4)
    fit = solver._Fit(rows, 12, labels, 3, penalty)
    theta = np.random.default_rng(seed).standard_normal((5, 3)) * 0.1

    def loss(at: np.ndarray) -> float:
        point = fit._at(at, fit._logits(at))
        return point.loss + 0.05 * float((penalty[:, None] * at[:-1] ** 2).sum())

    gradient = fit._gradient(fit._at(theta, fit._logits(theta)), 0.1)
    step = 1e-6
    for i in np.ndindex(theta.shape):
        ahead, behind = theta.copy(), theta.copy()
        ahead[i] += step
        behind[i] -= step
        assert gradient[i] == pytest.approx((loss(ahead) - loss(behind)) / (2 * step), rel=1e-4, abs=1e-5)


def test_columns_that_are_constant_in_the_kept_rows_cost_no_iterations() -> None:
    features, labels = problem(200, 30, 4)
    units = [f"v{i}" for i in range(200)]
    held_N, _ = holdout(units, labels, 0.2)
    rare = np.zeros((200, 8), np.float32)
    rare[held_N] = 0.01 * np.random.default_rng(0).standard_normal((held_N.sum(), 8))
    how: dict[str, Any] = {"num_classes": 4, "candidates": (1e-5, 1e-3, 1e-1), "tolerance": 1e-8}
    alone = fit_with_holdout(features, labels, units, **how)
    found = fit_with_holdout(np.hstack([features, rare]), labels, units, **how)
    assert found.notes == alone.notes
    assert found.holdout_losses == pytest.approx(alone.holdout_losses, abs=1e-3)
    assert found.probe.num_iterations <= alone.probe.num_iterations + 5


@pytest.mark.parametrize("value", ["0", "-5", "2 GB", "1.5"])
def test_a_limit_of_memory_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VCPBENCH_PROBE_MEMORY_MB", value)
    with pytest.raises(VcpbenchError, match="whole number of MiB above 0"):
        probe_rows.most_bytes()


@pytest.mark.parametrize(("classes", "l2"), [(1, 0.1), (3, 0.0), (3, -1.0)])
def test_a_fit_without_two_classes_or_a_penalty_is_refused(classes: int, l2: float) -> None:
    features, labels = problem(20, 4, 3)
    with pytest.raises(ValueError, match="two classes and an L2 strength above 0"):
        fit_logistic(features, labels, num_classes=classes, l2=l2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    features, labels = problem(20, 4, 3)
    features[7, 2] = value
    with pytest.raises(ValueError, match="Column 2"):
        fit_logistic(features, labels, num_classes=3, l2=0.1)


@pytest.mark.parametrize("columns", [12, 40])  # fewer than rows, and more
@pytest.mark.parametrize("block", [5, 1024])
def test_the_preconditioner_is_the_inverse_of_the_hessian_of_equal_probabilities(
    monkeypatch: pytest.MonkeyPatch, columns: int, block: int
) -> None:
    monkeypatch.setattr(solver, "BLOCK", block)
    features, _ = problem(20, columns, 4)
    everything = np.arange(20)
    rows = StandardisedRows(features, everything, *probe_rows.moments(features, everything)[:2])
    ((_, rows_ND),) = rows.chunks(0, 20)
    preconditioner = solver._Preconditioner(rows)
    preconditioner.factor(7.0, 0.1)  # a later strength starts from the same matrix
    preconditioner.factor(0.3, 0.25)
    theta = np.random.default_rng(0).standard_normal((columns + 1, 4))
    hessian = 0.25 * rows_ND.T @ rows_ND / 20 + 0.3 * np.eye(columns)
    np.testing.assert_allclose(preconditioner(theta)[:-1], np.linalg.solve(hessian, theta[:-1]), atol=1e-9)


def test_a_part_of_the_rows_is_penalised_as_if_it_were_standardised_by_itself() -> None:
    features, labels = problem(60, 15, 3)
    units = [f"v{i}" for i in range(60)]
    fitted = fit_with_holdout(
        features, labels, units, num_classes=3, candidates=(1e-3, 1e-1), tolerance=1e-10
    )
    held_N, _ = holdout(units, labels, 0.2)
    for strength, loss in fitted.holdout_losses.items():
        alone = fit_logistic(
            features[~held_N], labels[~held_N], num_classes=3, l2=float(strength), tolerance=1e-10
        )
        logs = alone.log_probabilities(features[held_N])
        assert loss == pytest.approx(-logs[np.arange(len(logs)), labels[held_N]].mean(), abs=1e-6)


def test_chunks_and_row_space_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = problem(50, 120, 4)
    whole = fit_logistic(features, labels, num_classes=4, l2=0.01, tolerance=1e-9)
    monkeypatch.setattr(probe_rows, "CHUNK_BYTES", 7 * 8 * 120)
    monkeypatch.setattr(probe_rows, "most_bytes", lambda: 0)
    chunked = fit_logistic(features, labels, num_classes=4, l2=0.01, tolerance=1e-9)
    np.testing.assert_allclose(whole.probabilities(features), chunked.probabilities(features), atol=1e-6)


def test_rows_made_anew_for_every_pass_give_what_rows_that_are_kept_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, labels = problem(300, 20, 4)
    before = features.copy()
    kept = fit_logistic(features, labels, num_classes=4, l2=0.01)
    monkeypatch.setattr(probe_rows, "most_bytes", lambda: 0)
    fresh = fit_logistic(features, labels, num_classes=4, l2=0.01)
    assert (fresh.weights_DK == kept.weights_DK).all()
    assert (fresh.probabilities(features) == kept.probabilities(features)).all()
    monkeypatch.setattr(probe_rows, "CHUNK_BYTES", 64 * 8 * 20)
    rows = StandardisedRows(features, np.arange(300), kept.mean_D, kept.scale_D)
    places = {chunk.__array_interface__["data"][0] for _, chunk in rows.chunks(0, 300)}
    assert len(places) == 1, "one chunk's memory serves all"
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize(("exact_bytes", "numpys"), [(probe_rows.EXACT_BYTES, 1), (0, 2)])
def test_a_small_fit_takes_one_thread_and_scipys_blas_never_fights_with_numpys(
    exact_bytes: int, numpys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_rows, "EXACT_BYTES", exact_bytes)
    features, labels = problem(40, 10, 3)
    seen: list[dict[bool, int]] = []
    honest = solver._Fit._gradient

    def threads() -> dict[bool, int]:
        pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
        return {Path(pool["filepath"]).parent.name == "scipy.libs": pool["num_threads"] for pool in pools}

    def watched(*arguments: object) -> np.ndarray:
        seen.append(threads())
        return honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(solver._Fit, "_gradient", watched)
    with threadpool_limits(2, user_api="blas"):
        if threads() != {False: 2, True: 2}:
            pytest.skip("NumPy and SciPy share one BLAS here, or it knows no threads")
        fit_logistic(features, labels, num_classes=3, l2=0.1)
        assert threads() == {False: 2, True: 2}
    assert seen[0] == {False: numpys, True: 1}


def test_too_few_iterations_are_reported_as_not_converged() -> None:
    features, labels = problem(100, 20, 3)
    probe = fit_logistic(features, labels, num_classes=3, l2=1e-4, max_iterations=2)
    assert not probe.converged
    assert probe.gradient_norm > 1e-5


def test_constant_features_give_the_class_frequencies() -> None:
    labels = np.array([0, 0, 0, 1])
    probe = fit_logistic(np.full((4, 3), 0.1, np.float32), labels, num_classes=2, l2=0.1)
    np.testing.assert_allclose(
        probe.probabilities(np.full((1, 3), 0.1, np.float32)), [[0.75, 0.25]], atol=1e-4
    )


@given(st.integers(0, 100), st.integers(2, 30))
@settings(deadline=None)
def test_held_out_units_are_whole_stratified_and_independent_of_row_order(seed: int, num_units: int) -> None:
    rng = np.random.default_rng(seed)
    unit_of = rng.integers(0, num_units, 200)
    unit_of[:num_units] = np.arange(num_units)
    labels = unit_of % 3
    units = [f"g{u}" for u in unit_of]
    held, note = holdout(units, labels, 0.2)
    assert set(labels[~held]) == set(labels), "a class has nothing left to be fitted on"
    assert (note is None) == (num_units >= 6)
    if num_units < 4:  # one unit a class: only rows can be held out
        assert set(labels[held]) == set(labels)
        return
    held_units = {u for u, h in zip(units, held, strict=True) if h}
    assert not held_units & {u for u, h in zip(units, held, strict=True) if not h}
    assert len(held_units) == -(-num_units // 5)
    if num_units >= 15:
        assert set(labels[held]) == set(labels), "five units a class, and none of one is held out"
    order = rng.permutation(200)
    again, _ = holdout([units[i] for i in order], labels[order], 0.2)
    assert (again == held[order]).all()


@given(st.integers(0, 100), st.integers(1, 8))
@settings(deadline=None)
def test_groups_that_cross_classes_never_take_a_whole_class_with_them(seed: int, num_units: int) -> None:
    rng = np.random.default_rng(seed)
    labels, units = rng.integers(0, 4, 60), [f"g{u}" for u in rng.integers(0, num_units, 60)]
    held, note = holdout(units, labels, 0.2)
    assert held.any()
    assert set(labels[~held]) == set(labels)
    assert num_units > 1 or note is not None


def test_the_strength_is_not_chosen_on_classes_that_the_probe_never_saw() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    features = (2 * rng.standard_normal((10, 16))[labels] + rng.standard_normal((120, 16))).astype(np.float32)
    strengths = (1e-5, 1e-3, 1e-1, 10.0)
    by_group, by_video = (
        fit_with_holdout(features, labels, units, num_classes=10, candidates=strengths)
        for units in ([f"g{label}" for label in labels], [f"v{i}" for i in range(120)])
    )
    assert by_group.l2 < 1
    assert max(by_group.holdout_losses.values()) < np.log(10)
    assert any("one training group (or video) only: its rows were split" in note for note in by_group.notes)
    assert not any("group" in note for note in by_video.notes)


def test_candidates_that_did_not_converge_are_named_and_those_that_did_are_not() -> None:
    features, labels = problem(200, 20, 3)
    units = [f"v{i}" for i in range(len(labels))]

    def fitted(max_iterations: int) -> FittedProbe:
        strengths = (1e-5, 0.1, 10.0)
        return fit_with_holdout(
            features, labels, units, num_classes=3, candidates=strengths, max_iterations=max_iterations
        )

    few, enough = fitted(15), fitted(1000)
    assert few.probe.converged
    assert few.l2 == enough.l2 == 0.1
    (note,) = few.notes
    assert note.startswith("L2 strengths that did not converge where one was chosen: 1e-05 (gradient ")
    assert "0.1 (" not in note
    assert enough.notes == ()


def test_a_row_per_class_leaves_nothing_to_choose_by_and_the_strongest_penalty_is_taken() -> None:
    fitted = fit_with_holdout(np.eye(3), np.arange(3), ["a", "b", "c"], num_classes=3, candidates=(1e-3, 1.0))
    assert (fitted.l2, fitted.holdout_losses) == (1.0, {})
    assert any("nothing could be held out" in note for note in fitted.notes)


def test_one_group_only_is_split_and_said() -> None:
    held, note = holdout(["g"] * 10, np.arange(10) % 2, 0.2)
    assert 0 < held.sum() < 10
    assert note is not None


def test_the_strength_that_generalises_is_chosen_and_an_edge_is_said() -> None:
    features, labels = problem(120, 200, 3, noise=6)
    units = [f"g{i // 3}" for i in range(120)]
    fitted = fit_with_holdout(features, labels, units, num_classes=3, candidates=(1e-6, 1e-1, 1e4))
    assert fitted.l2 == 1e-1
    assert set(fitted.holdout_losses) == {"1e-06", "0.1", "10000"}
    edge = fit_with_holdout(features, labels, units, num_classes=3, candidates=(1e-6, 1e-5))
    assert any("edge" in note for note in edge.notes)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12), st.booleans())
@settings(max_examples=40, deadline=None)
def test_knn_votes_as_a_slow_twin_does_also_with_ties(seed: int, num_bank: int, k: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    queries, bank = (
        rng.integers(-1, 2, (num, 3)).astype(np.float32) if tied else rng.standard_normal((num, 3))
        for num in (5, num_bank)
    )
    labels = rng.integers(0, 3, num_bank)
    found = knn_probabilities(queries, bank, labels, num_classes=3, k=k, temperature=0.07)
    for query, probabilities in zip(queries, found, strict=True):
        cosines = []
        for row in bank:
            lengths = float(np.linalg.norm(query) * np.linalg.norm(row))
            cosines.append(round(float(query @ row) / lengths, 12) if lengths else 0.0)
        votes = np.zeros(3)
        for index in sorted(range(num_bank), key=lambda i: (-cosines[i], i))[:k]:
            votes[labels[index]] += np.exp(cosines[index] / 0.07)
        np.testing.assert_allclose(probabilities, votes / votes.sum(), rtol=1e-6, atol=1e-12)


def test_a_bank_smaller_than_k_votes_whole() -> None:
    found = knn_probabilities(np.eye(2), np.eye(2), np.array([0, 1]), num_classes=2, k=20)
    assert found.argmax(axis=1).tolist() == [0, 1]
