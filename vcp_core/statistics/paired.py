"""The difference of two evaluations, from pairs of right-or-wrong answers (PROTOCOL 5).

Of N videos the second evaluation wins some (it alone is right) and loses others. Tango's score interval
inverts the score test of a difference (Statistics in Medicine 17, 1998, pages 891 to 908). At zero that
test is McNemar's, (won - lost)^2 / (won + lost): interval and p-value always agree.

Where nearly all changes go one way, the distribution of their number is skewed. Tango's interval then misses
a small true difference too often: 8 % of the time if one loss is expected. So each end is computed a second
time with a correction for skewness, as Laud does (doi:10.1002/pst.1813), and the wider end is taken. At zero
there is no skewness, so the p-value stays McNemar's.

All counts are arrays of one shape, with one element for each difference. Counts need not be whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
HALVINGS = 60  # of an interval of length 2 at most: below the last digit of a float64
LEAST_VARIANCE = 1e-100  # avoids a division by zero where no pair can differ


@dataclass(frozen=True)
class Pairs:
    """Counts of pairs, one array element for each difference.

    Attributes:
        won: Pairs of which only the second is right.
        lost: Pairs of which only the first is right.
        total: All pairs.
    """

    won: Array
    lost: Array
    total: Array

    @property
    def difference(self) -> Array:
        """(won - lost) / total."""
        return (self.won - self.lost) / self.total

    def score(self) -> Array:
        """McNemar's z: the difference in standard errors, taken as if the true difference were zero."""
        changed = self.won + self.lost
        return np.divide(
            self.won - self.lost, np.sqrt(changed), out=np.zeros_like(changed), where=changed > 0
        )

    def ends(self, quantile: float | Array) -> tuple[Array, Array]:
        """Both ends of the interval, in [-1, 1], that reaches `quantile` standard errors to either side."""
        swapped = Pairs(won=self.lost, lost=self.won, total=self.total)
        return -swapped._upper(quantile), self._upper(quantile)

    def _upper(self, quantile: float | Array) -> Array:
        """The largest difference that the plain test or the test corrected for skewness still accepts."""
        plain, skewed = (self._last_kept(quantile, allow_for_skewness=allow) for allow in (False, True))
        return np.maximum(plain, skewed)

    def _last_kept(self, quantile: float | Array, *, allow_for_skewness: bool) -> Array:
        low, high = self.difference, np.ones_like(self.total)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            kept = self._too_high(middle, quantile, allow_for_skewness) <= quantile
            low, high = np.where(kept, middle, low), np.where(kept, high, middle)
        return high

    def _too_high(self, difference: Array, quantile: float | Array, allow_for_skewness: bool) -> Array:
        """By how many standard errors a supposed difference lies above the observed one."""
        lost_rate = self._lost_rate(difference)
        second = 2 * lost_rate + difference  # E[x^2] of a pair's outcome x: 1 won, -1 lost, 0 else
        variance = np.maximum(second - difference**2, LEAST_VARIANCE)
        z: Array = (difference - self.difference) / np.sqrt(variance / self.total)
        if not allow_for_skewness:
            return z
        third = difference - 3 * difference * second + 2 * difference**3
        return z + (np.square(quantile) - 1) / 6 * third / variance**1.5 / np.sqrt(self.total)

    def _lost_rate(self, difference: Array) -> Array:
        """Most likely chance of a loss where the chances of a win and of a loss differ by `difference`."""
        n, b, c = self.total, self.won, self.lost
        linear = (2 * n - b + c) * difference - b - c
        product = -c * difference * (1 - difference)
        return np.maximum(
            (np.sqrt(linear**2 - 8 * n * product) - linear) / (4 * n), np.maximum(0, -difference)
        )
