"""Nearest neighbours and retrieval by cosine similarity, in bounded memory (PROTOCOL 4).

Similarities are compared at 1e-12, so that equal features tie whatever kernel multiplied them in float64, and
those of a nearly collapsed network, all but one another's copies, still do not; ties rank by gallery order,
which callers sort by video id.

Legend: N queries, M gallery rows, D features, K depths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Places = npt.NDArray[np.integer[Any]]

UNITS = 10**12  # of similarity, in one
CHUNK_BYTES = 256 << 20  # similarities of one chunk of queries with the whole gallery
NUM_NEIGHBOURS = 10


@dataclass(frozen=True, kw_only=True)
class RetrievalOutcomes:
    """What every query found.

    Attributes:
        hits_NK: Whether a gallery row of the query's class is among the nearest k, for every depth.
        average_precision_N: Over the whole ranking; 0 where the gallery has none of the class.
        neighbours_NK: Gallery places of the nearest rows, nearest first.
    """

    hits_NK: npt.NDArray[np.bool_]
    average_precision_N: npt.NDArray[np.float64]
    neighbours_NK: Places


def normalised(features_ND: Floats) -> npt.NDArray[np.float64]:
    """Rows of length 1; a zero row stays zero, and so is similar to nothing."""
    lengths_N = np.sqrt(np.einsum("nd,nd->n", features_ND, features_ND, dtype=np.float64))
    scale_N = np.divide(1.0, lengths_N, out=np.zeros_like(lengths_N), where=lengths_N > 0)
    return np.asarray(features_ND * scale_N[:, None], np.float64)


def _rankings(queries_ND: Floats, gallery_MD: Floats) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Similarities in units of 1e-12, a chunk of queries at a time, (rows, M)."""
    gallery = normalised(gallery_MD)
    rows = max(1, CHUNK_BYTES // (32 * len(gallery)))  # four times eight bytes of each pair, with the sort's
    for start in range(0, len(queries_ND), rows):
        place = slice(start, min(start + rows, len(queries_ND)))
        similarities = normalised(queries_ND[place]) @ gallery.T
        yield place, np.rint(similarities * UNITS).astype(np.int64)


def nearest(queries_ND: Floats, gallery_MD: Floats, *, k: int) -> tuple[Places, npt.NDArray[np.float64]]:
    """The k nearest gallery rows of every query, nearest first: places and similarities, (N, min(k, M))."""
    k = min(k, len(gallery_MD))
    places, values = [], []
    for _, similarities in _rankings(queries_ND, gallery_MD):
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        places.append(order)
        values.append(np.take_along_axis(similarities, order, axis=1) / UNITS)
    return np.concatenate(places), np.concatenate(values)


def retrieval_ranks(
    queries_ND: Floats,
    gallery_MD: Floats,
    query_labels_N: Places,
    gallery_labels_M: Places,
    *,
    ks: Sequence[int],
) -> RetrievalOutcomes:
    """Rank the gallery for every query by cosine similarity.

    Args:
        queries_ND: A feature per query; may be a memory map, as may the gallery.
        gallery_MD: A feature per gallery row, sorted by video id.
        query_labels_N: Class of every query.
        gallery_labels_M: Class of every gallery row.
        ks: Depths for hits.
    """
    hits, precisions, neighbours = [], [], []
    for place, similarities in _rankings(queries_ND, gallery_MD):
        order = np.argsort(-similarities, axis=1, kind="stable")
        relevant = gallery_labels_M[order] == query_labels_N[place, None]
        hits.append(np.stack([relevant[:, :k].any(axis=1) for k in ks], axis=1))
        found = relevant.sum(axis=1)
        rows, ranks = np.nonzero(relevant)  # row by row, nearest first
        first = np.concatenate([[0], np.cumsum(found)[:-1]])
        hits_so_far = np.arange(len(rows)) - first[rows] + 1
        sums = np.bincount(rows, weights=hits_so_far / (ranks + 1), minlength=len(found))
        precisions.append(np.divide(sums, found, out=np.zeros(len(found)), where=found > 0))
        neighbours.append(order[:, :NUM_NEIGHBOURS].copy())
    return RetrievalOutcomes(
        hits_NK=np.concatenate(hits),
        average_precision_N=np.concatenate(precisions),
        neighbours_NK=np.concatenate(neighbours),
    )
