"""Metrics: numbers that a benchmark computes from predictions, with name, unit and direction.

Legend: R weightings, N prediction rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.units import Better, Unit
from vcp_core.statistics.means import Mean, Statistic, mean_of, mean_over, weighted_mean

__all__ = ["Array", "Mean", "Metric", "Statistic", "mean_of", "mean_over", "weighted_mean"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that is computed from predictions.

    Attributes:
        name: Such as "cloze.accuracy".
        statistic: A `Mean` of values in [0, 1] if the unit is percent: its interval then stays within 0 and
            100. For every other unit a `Statistic`, a function of the rows' weights.
        chance: The expected value of guessing, on the scale of `statistic`; None if it is not defined.
        unit: The unit of the metric's scores.
        better: Whether a higher or a lower value is better.
        headline: Whether tables show the metric first.

    Raises:
        ValueError: If a share is not in percent.
        TypeError: If the statistic is a bare function.

    >>> top1 = Metric(name="recognition.top1", statistic=weighted_mean([1, 0, 1, 1]), chance=0.5)
    >>> top1.value(num_rows=4)
    75.0
    """

    name: str
    statistic: Mean | Statistic
    chance: float | None
    unit: Unit = "percent"
    better: Better = "higher"
    headline: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.statistic, Mean) and self.unit != "percent":
            raise ValueError(
                f"{self.name}: a Mean is a share in percent; for {self.unit!r} give a Statistic."
            )
        if not isinstance(self.statistic, Mean | Statistic):
            raise TypeError(f"{self.name}: wrap the function of weights: Statistic(function).")

    @property
    def scale(self) -> float:
        """The factor from the statistic to the score: 100 for a fraction, 1 for a plain number."""
        return 1.0 if self.unit == "number" else 100.0

    def value(self, num_rows: int) -> float:
        """The score; NaN where no row counts, as for the precision of an answer that was never given."""
        if isinstance(self.statistic, Mean):
            return self.scale * self.statistic.value
        return self.scale * float(self.statistic(np.ones((1, num_rows)))[0])
