"""Retrieval: against a slow twin with ties, and scikit-learn's average precision."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from vcp_core.probes import ranking
from vcp_core.probes.ranking import nearest, retrieval_ranks

KS = (1, 2, 5)


def slow_twin(queries: np.ndarray, gallery: np.ndarray, ql: np.ndarray, gl: np.ndarray) -> list[tuple]:
    outcomes = []
    for query, label in zip(queries, ql, strict=True):
        similarities = []
        for row in gallery:
            lengths = float(np.linalg.norm(query) * np.linalg.norm(row))
            similarities.append(round(float(query @ row) / lengths, 12) if lengths else 0.0)
        order = sorted(range(len(gallery)), key=lambda i: (-similarities[i], i))
        relevant = [gl[i] == label for i in order]
        precisions = [sum(relevant[: i + 1]) / (i + 1) for i, good in enumerate(relevant) if good]
        average = sum(precisions) / len(precisions) if precisions else 0.0
        outcomes.append(([any(relevant[:k]) for k in KS], average, order[:10], similarities[order[0]]))
    return outcomes


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 15))
@settings(max_examples=100, deadline=None)
def test_ranks_equal_a_slow_twin_also_with_many_ties(seed: int, num_queries: int, num_gallery: int) -> None:
    rng = np.random.default_rng(seed)
    # Small integers: many rows are equal, parallel or zero.
    queries, gallery = rng.integers(0, 3, (num_queries, 2)), rng.integers(0, 3, (num_gallery, 2))
    ql, gl = rng.integers(0, 3, num_queries), rng.integers(0, 3, num_gallery)
    found = retrieval_ranks(queries.astype(np.float32), gallery.astype(np.float32), ql, gl, ks=KS)
    for i, (hits, average, neighbours, similarity) in enumerate(slow_twin(queries, gallery, ql, gl)):
        assert found.hits_NK[i].tolist() == hits
        assert found.average_precision_N[i] == pytest.approx(average)
        assert found.neighbours_NK[i].tolist() == neighbours
        assert found.similarity_N[i] == pytest.approx(similarity, abs=1e-9)


def test_average_precision_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((20, 8)), rng.standard_normal((100, 8))
    ql, gl = rng.integers(0, 4, 20), rng.integers(0, 4, 100)
    found = retrieval_ranks(queries, gallery, ql, gl, ks=KS)
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    for i in range(20):
        expected = average_precision_score(gl == ql[i], unit @ queries[i])
        assert found.average_precision_N[i] == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_the_nearest_equal_a_slow_twin_also_with_many_ties(seed: int, num_gallery: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = rng.integers(-1, 2, (4, 2)), rng.integers(-1, 2, (num_gallery, 2))
    indices, similarities = nearest(queries.astype(np.float32), gallery.astype(np.float32), k=k)
    assert indices.shape == similarities.shape == (4, min(k, num_gallery))
    for query, found, values in zip(queries, indices, similarities, strict=True):
        cosines = []
        for row in gallery:
            lengths = float(np.linalg.norm(query) * np.linalg.norm(row))
            cosines.append(round(float(query @ row) / lengths, 12) if lengths else 0.0)
        order = sorted(range(num_gallery), key=lambda i: (-cosines[i], i))[:k]
        assert found.tolist() == order
        assert values.tolist() == pytest.approx([cosines[i] for i in order], abs=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(3, 90), (50, 7), (4, 11), (1, 1)])
def test_chunks_of_queries_and_blocks_of_the_gallery_change_nothing(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(-2, 3, (num, 8)).astype(np.float32) for num in (50, 90))
    labels = rng.integers(0, 4, 50), rng.integers(0, 4, 90)
    whole, ranked = nearest(queries, gallery, k=7), retrieval_ranks(queries, gallery, *labels, ks=KS)
    monkeypatch.setattr(ranking, "CHUNK_BYTES", 16 * 90 * rows)
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 8 * 8 * columns)
    chunked, again = nearest(queries, gallery, k=7), retrieval_ranks(queries, gallery, *labels, ks=KS)
    for expected, found in zip(
        (*whole, *vars(ranked).values()), (*chunked, *vars(again).values()), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_memory_follows_the_budget_and_not_the_number_of_queries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "CHUNK_BYTES", 4 << 20)
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 1 << 20)
    rng = np.random.default_rng(0)
    gallery, labels = rng.random((20_000, 64), np.float32), rng.integers(0, 9, 20_000)
    peaks = []
    for num_queries in (50, 200):
        queries, own = gallery[:num_queries], labels[:num_queries]
        tracemalloc.start()
        retrieval_ranks(queries, gallery, own, labels, ks=KS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20)
    assert peaks[1] < 8 << 20  # all similarities would be 32 MB, and the gallery in float64 10


def test_a_gallery_whose_places_do_not_fit_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = (ranking.UNITS << ranking._shift(ranking.MAX_GALLERY)) | (ranking.MAX_GALLERY - 1)
    assert largest < 2**63
    monkeypatch.setattr(ranking, "MAX_GALLERY", 5)
    with pytest.raises(ValueError, match="The gallery has 6 rows; at most 5"):
        nearest(np.eye(6), np.eye(6), k=1)


def test_a_nearly_collapsed_network_is_ranked_by_what_is_left_of_it() -> None:
    rng = np.random.default_rng(0)
    labels, queries_of = np.repeat(np.arange(8), 18), np.repeat(np.arange(8), 7)
    common, classes = np.abs(rng.standard_normal(512)) + 0.5, rng.standard_normal((8, 512))
    gallery, queries = (
        (common + 1e-3 * (classes[of] + 0.3 * rng.standard_normal((len(of), 512)))).astype(np.float32)
        for of in (labels, queries_of)
    )
    found = retrieval_ranks(queries, gallery, queries_of, labels, ks=KS)
    assert found.hits_NK[:, 0].mean() > 0.95


def test_equal_features_rank_by_gallery_order() -> None:
    gallery = np.ones((300, 33), np.float32) * np.linspace(0.1, 9, 300, dtype=np.float32)[:, None]
    indices, _ = nearest(np.ones((5, 33), np.float32), gallery, k=50)
    assert (indices == np.arange(50)).all()


def test_a_class_that_the_gallery_lacks_is_never_hit() -> None:
    found = retrieval_ranks(np.eye(2), np.eye(2), np.array([5, 0]), np.array([0, 1]), ks=KS)
    assert not found.hits_NK[0].any()
    assert found.average_precision_N[0] == 0
