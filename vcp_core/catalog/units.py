"""What a score is measured in, and which way is better."""

from __future__ import annotations

from typing import Literal

# percent: a share of outcomes, 0 to 100. points: a difference of percents. number: anything else, unbounded.
Unit = Literal["percent", "points", "number"]
Better = Literal["higher", "lower", "neither"]
