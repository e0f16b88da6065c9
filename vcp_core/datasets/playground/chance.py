"""Seeded real numbers on top of `Draws`, the same on every machine and NumPy version."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vcp_core.video.clips import Draws


class Chance(Draws):
    """Draws of real numbers.

    >>> Chance("a").between(2, 3) == Chance("a").between(2, 3)
    True
    """

    def between(self, low: float, high: float) -> float:
        """Draw a number in [low, high)."""
        return low + (high - low) * float(self.field()[0])

    def field(self, *shape: int) -> npt.NDArray[np.float64]:
        """Draw numbers in [0, 1) of the given shape; shape (1,) if none is given."""
        words = self._bits.random_raw(int(np.prod(shape)) if shape else 1)
        # The upper 53 of 64 bits fill a float64 exactly, so no rounding can give 1.0.
        unit = (np.asarray(words) >> np.uint64(11)) * 2.0**-53
        return np.asarray(unit.reshape(shape or (1,)), dtype=np.float64)
