"""Comparisons as clients see them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from service.evaluations.schemas import EvaluationOut, WaitingFor
from vcp_core.scoring.comparison import Difference


class ComparisonProgress(BaseModel):
    """The progress of a comparison."""

    fraction: float = Field(
        description="Share of the benchmarks that are compared; 1 only once all is done.", examples=[0.67]
    )
    stage: str = Field(description="What is done now, in words.", examples=["comparing"])


class ComparisonOut(BaseModel):
    """Two evaluations, paired on the videos that both answered; each difference is second less first.

    A worker makes it when somebody first asks for it, and it is kept. Until then it is `waiting` or `running`
    and has no differences. It is `done`, or `failed` with a `reason`.
    """

    state: Literal["waiting", "running", "done", "failed"]
    reason: str | None = Field(None, description="Why it failed.")
    waiting_for: WaitingFor = None
    progress: ComparisonProgress
    first: EvaluationOut
    second: EvaluationOut
    differences: list[Difference] = Field(description="Empty until it is done.")
    notes: list[str] = Field(
        description="Benchmarks that were compared on fewer videos than one of the two answered, or on none."
    )
