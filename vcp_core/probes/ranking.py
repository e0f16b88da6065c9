"""Nearest neighbours and retrieval by cosine similarity, in bounded memory (PROTOCOL 4).

Similarities are rounded to 1e-12 before they are compared. This is coarse enough that equal features tie,
whatever kernel multiplied them in float64. It is fine enough that the nearly equal features of a collapsed
network do not tie. Ties rank by gallery order, which callers sort by video id.

Legend: N queries, M gallery rows, D features, K depths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.integer[Any]]

UNITS = 10**12  # steps in a similarity of 1
MAX_GALLERY = 1 << 23  # rows: a key of UNITS steps and an index then fits into 63 bits
CHUNK_BYTES = 512 << 20  # memory of a chunk of queries: similarities to the gallery, and keys
BLOCK_BYTES = 64 << 20  # memory of one block of the gallery in float64
NUM_NEIGHBOURS = 10


@dataclass(frozen=True, kw_only=True)
class RetrievalOutcomes:
    """The outcome of every query.

    Attributes:
        hits_NK: Whether a gallery row of the query's class is among the nearest k, for every depth k.
        average_precision_N: Over the whole ranking; 0 where no gallery row has the query's class.
        neighbours_NK: Indices in the gallery of the nearest rows, nearest first.
        similarity_N: Cosine similarity of the nearest row.
    """

    hits_NK: npt.NDArray[np.bool_]
    average_precision_N: npt.NDArray[np.float64]
    neighbours_NK: Indices
    similarity_N: npt.NDArray[np.float64]


def _scale(features_ND: Floats) -> npt.NDArray[np.float64]:
    """The factor that gives each row length 1; 0 for a zero row, which is then similar to no row."""
    lengths_N = np.sqrt(np.einsum("nd,nd->n", features_ND, features_ND, dtype=np.float64))
    scale_N: npt.NDArray[np.float64] = np.divide(
        1.0, lengths_N, out=np.zeros_like(lengths_N), where=lengths_N > 0
    )
    return scale_N


class _Gallery:
    """The gallery's normalised rows, block by block.

    A gallery of several blocks is normalised anew for each chunk of queries, to bound memory. Lengths are
    measured once. All blocks share one buffer: allocating memory would cost more time than the products.
    """

    def __init__(self, gallery_MD: Floats) -> None:
        self._gallery_MD = gallery_MD
        rows = min(len(gallery_MD), max(1, BLOCK_BYTES // (8 * gallery_MD.shape[1])))
        self._blocks = [slice(i, min(i + rows, len(gallery_MD))) for i in range(0, len(gallery_MD), rows)]
        self._scale_M = np.concatenate([_scale(gallery_MD[block]) for block in self._blocks])
        self._buffer = np.empty((rows, gallery_MD.shape[1]))
        self._filled_with: slice | None = None

    def similarities(self, queries_ND: npt.NDArray[np.float64], out: npt.NDArray[np.float64]) -> None:
        """Write the cosines of normalised queries with every row into `out`, (N, M)."""
        for block in self._blocks:
            block_MD = self._buffer[: block.stop - block.start]
            if self._filled_with != block:
                np.multiply(self._gallery_MD[block], self._scale_M[block, None], out=block_MD)
                self._filled_with = block
            np.matmul(queries_ND, block_MD.T, out=out[:, block])


def _keys(queries_ND: Floats, gallery_MD: Floats) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Integer keys that sort like the neighbours, one chunk of queries at a time, (rows, M).

    A key is the negated similarity in units of 1e-12, times a power of two, plus the index in the gallery.
    No two keys are equal, so even an unstable sort ranks ties by index. The next chunk reuses the memory, so
    use a chunk before asking for the next.
    """
    num_gallery = len(gallery_MD)
    if num_gallery > MAX_GALLERY:
        raise ValueError(f"The gallery has {num_gallery:,} rows; at most {MAX_GALLERY:,} can be ranked.")
    gallery = _Gallery(gallery_MD)
    rows = max(1, min(len(queries_ND), CHUNK_BYTES // (16 * num_gallery)))
    kept, kept_keys = np.empty((rows, num_gallery)), np.empty((rows, num_gallery), np.int64)
    for start in range(0, len(queries_ND), rows):
        span = slice(start, min(start + rows, len(queries_ND)))
        similarities, keys = kept[: span.stop - start], kept_keys[: span.stop - start]
        chunk_ND = queries_ND[span]
        gallery.similarities(np.asarray(chunk_ND * _scale(chunk_ND)[:, None], np.float64), similarities)
        similarities *= -UNITS
        # "unsafe" allows float64 into int64. The values are whole numbers, so nothing is lost.
        np.rint(similarities, out=keys, casting="unsafe")
        keys <<= _shift(num_gallery)
        keys |= np.arange(num_gallery)
        yield span, keys


def _shift(num_gallery: int) -> int:
    return max(1, (num_gallery - 1).bit_length())


def _indices(keys: npt.NDArray[np.int64], num_gallery: int) -> Indices:
    return keys & ((1 << _shift(num_gallery)) - 1)


def _similarities(keys: npt.NDArray[np.int64], num_gallery: int) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = -(keys >> _shift(num_gallery)) / UNITS
    return found


def nearest(queries_ND: Floats, gallery_MD: Floats, *, k: int) -> tuple[Indices, npt.NDArray[np.float64]]:
    """The k nearest gallery rows of every query, nearest first: indices and similarities, (N, min(k, M)).

    >>> indices_Nk, similarities_Nk = nearest(np.array([[3.0, 0.0]]), np.array([[0.0, 1.0], [2.0, 0.0]]), k=1)
    >>> indices_Nk.tolist(), similarities_Nk.tolist()
    ([[1]], [[1.0]])

    Raises:
        ValueError: If the gallery has more than `MAX_GALLERY` rows.
    """
    num_gallery = len(gallery_MD)
    k = min(k, num_gallery)
    indices, values = [], []
    for _, keys in _keys(queries_ND, gallery_MD):
        # A full sort of the gallery is not needed: only the first k are put in order.
        keys.partition(k - 1, axis=1)
        first = np.sort(keys[:, :k], axis=1)
        indices.append(_indices(first, num_gallery))
        values.append(_similarities(first, num_gallery))
    return np.concatenate(indices), np.concatenate(values)


def retrieval_ranks(
    queries_ND: Floats,
    gallery_MD: Floats,
    query_labels_N: Indices,
    gallery_labels_M: Indices,
    *,
    ks: Sequence[int],
) -> RetrievalOutcomes:
    """Rank the gallery for every query by cosine similarity.

    Args:
        queries_ND: A feature per query. Queries and gallery may be memory maps.
        gallery_MD: A feature per gallery row, sorted by video id.
        query_labels_N: Class of every query.
        gallery_labels_M: Class of every gallery row.
        ks: Depths for hits.

    Memory beyond the arguments and the result is bounded by `CHUNK_BYTES` and `BLOCK_BYTES`, whatever the
    number of queries (bench/retrieval.py).

    Raises:
        ValueError: If the gallery has more than `MAX_GALLERY` rows.

    >>> gallery_MD, labels_M = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), np.array([0, 1, 1])
    >>> ranked = retrieval_ranks(np.array([[2.0, 0.0]]), gallery_MD, np.array([1]), labels_M, ks=(1, 2))
    >>> ranked.neighbours_NK.tolist(), ranked.hits_NK.tolist(), ranked.average_precision_N.round(3).tolist()
    ([[0, 1, 2]], [[False, True]], [0.583])
    """
    num_queries, num_gallery = len(queries_ND), len(gallery_MD)
    hits_NK = np.zeros((num_queries, len(ks)), bool)
    precision_N = np.zeros(num_queries)
    neighbours_NK = np.zeros((num_queries, min(NUM_NEIGHBOURS, num_gallery)), np.int64)
    similarity_N = np.zeros(num_queries)
    for span, keys in _keys(queries_ND, gallery_MD):
        keys.sort(axis=1)
        similarity_N[span] = _similarities(keys[:, 0], num_gallery)
        for query, keys_M in zip(range(span.start, span.stop), keys, strict=True):
            order_M = _indices(keys_M, num_gallery)
            # Ranks of the query's class, from 1. At the n-th of them the precision is n / rank.
            ranks = np.flatnonzero(gallery_labels_M[order_M] == query_labels_N[query]) + 1
            hits_NK[query] = [len(ranks) > 0 and ranks[0] <= k for k in ks]
            if len(ranks):
                precision_N[query] = np.cumsum(np.arange(1, len(ranks) + 1) / ranks)[-1] / len(ranks)
            neighbours_NK[query] = order_M[: neighbours_NK.shape[1]]
    return RetrievalOutcomes(
        hits_NK=hits_NK,
        average_precision_N=precision_N,
        neighbours_NK=neighbours_NK,
        similarity_N=similarity_N,
    )
