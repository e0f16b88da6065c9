"""Classification by the k nearest neighbours (PROTOCOL 4).

Legend: N queries, M bank rows, D features, K classes, k neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from vcp_core.probes.ranking import nearest

Floats = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer[Any]]


def knn_probabilities(
    queries_ND: Floats,
    bank_MD: Floats,
    bank_labels_M: Labels,
    *,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> Array:
    """Class probabilities by votes of the k nearest bank rows, (N, K).

    Rows are compared by cosine similarity. A vote weighs exp(similarity / temperature). Equal similarities
    rank by bank order, which callers sort by video id. In a bank of fewer than k rows all rows vote.
    Source: Wu et al., CVPR 2018 (k and temperature as in PROTOCOL 4).

    >>> bank_MD, labels_M = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
    >>> knn_probabilities(np.array([[2.0, 0.1]]), bank_MD, labels_M, num_classes=2, k=1)
    array([[1., 0.]])
    """
    indices_Nk, similarities_Nk = nearest(queries_ND, bank_MD, k=k)
    votes_Nk = softmax(similarities_Nk / temperature, axis=1)
    result_NK = np.zeros((len(queries_ND), num_classes))
    rows_Nk = np.broadcast_to(np.arange(len(queries_ND))[:, None], indices_Nk.shape)
    # Not `result_NK[...] += votes_Nk`: of several votes for one class, that adds only the last.
    np.add.at(result_NK, (rows_Nk, bank_labels_M[indices_Nk]), votes_Nk)
    return result_NK
