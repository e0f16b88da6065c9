"""Ranks of a leaderboard, by one rule for page, JSON and CSV. Scores that are not told apart share a rank."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from records.repositories.leaderboard import Measured


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A rank on the whole leaderboard, and whether other rows share it. A row without the metric has none."""

    rank: int | None = None
    tied: bool = False


UNRANKED = Standing()


class Ranks:
    """Computes the ranks of a whole board, from the values that the board is sorted by.

    The best value has rank 1, however the leaderboard is sorted. A metric without a better direction has no
    ranks. A value shares the rank of the best of its group if it lies within the interval of that best value.
    Only a paired difference could tell the two apart (PROTOCOL 5).

    Args:
        scores: The scores of all rows that have the metric, in any order.
    """

    def __init__(self, scores: Iterable[Measured]) -> None:
        everyone = list(scores)
        directions = {better for *_, better in everyone}
        self._sign = {"higher": -1, "lower": 1}.get(directions.pop(), 0) if len(directions) == 1 else 0
        self._bests: list[float] = []  # best value of each group, negated where higher is better
        self._standings: list[Standing] = []
        if self._sign < 0:
            self._group(sorted((-value, -low) for value, low, _, _ in everyone))
        elif self._sign > 0:
            self._group(sorted((value, high) for value, _, high, _ in everyone))

    def _group(self, turned: Sequence[tuple[float, float]]) -> None:
        """Form the groups from sorted pairs: a value and the worse end of its interval, less being better."""
        begins: list[int] = []
        reach = 0.0  # the worse end of the interval of the group's best value
        for index, (loss, worst) in enumerate(turned):
            if not begins or loss > reach:
                begins.append(index)
                self._bests.append(loss)
                reach = max(loss, worst)
        ends = [*begins[1:], len(turned)]
        self._standings = [
            Standing(rank=begin + 1, tied=end - begin > 1) for begin, end in zip(begins, ends, strict=True)
        ]

    def of(self, value: float | None) -> Standing:
        """The rank of one of the values; `UNRANKED` for a row without one."""
        if value is None or not self._standings:
            return UNRANKED
        return self._standings[bisect_right(self._bests, self._sign * value) - 1]
