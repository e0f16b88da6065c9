"""Which training rows are held out to choose the L2 strength of a linear probe (PROTOCOL 4)."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer[Any]]


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

    every = max(2, round(1 / fraction))  # 1 would hold out every unit that can be spared
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
