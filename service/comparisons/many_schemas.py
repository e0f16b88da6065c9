"""Comparisons of many evaluations as clients see them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.body import Body
from service.comparisons.schemas import ComparisonProgress
from service.evaluations.schemas import EvaluationOut, WaitingFor
from service.references import EVALUATION, Reference
from vcp_core.catalog.units import Better, Unit
from vcp_core.scoring.comparison import AdjustedDifference
from vcp_core.scoring.stored_many import MOST

LEAST = 2  # evaluations, the baseline included


class ManyIn(Body):
    """The evaluations to compare, and the baseline."""

    evaluations: list[Reference] = Field(
        min_length=LEAST,
        max_length=MOST,
        json_schema_extra={"uniqueItems": True},
        description="Different evaluations on the same videos, under the same protocol, by the same version "
        f"of vcpbench. Each is named by {EVALUATION[0].lower()}{EVALUATION[1:]}",
    )
    baseline: Reference | None = Field(
        None, description="One of them, written in any of these ways; the first if left out."
    )


class WithBaseline(BaseModel):
    """One evaluation against the baseline; each difference is its score less the baseline's.

    Every number but `p_adjusted` and `num_comparisons` is that of `GET /v1/comparisons`.
    """

    evaluation: UUID
    differences: list[AdjustedDifference] = Field(
        description="`p_adjusted` is Holm's p-value. Its family is this metric, compared with the baseline "
        "for each of the other evaluations that have the metric: `num_comparisons` of them."
    )
    notes: list[str] = Field(description="As in `GET /v1/comparisons`; the baseline is the first.")


class PairOut(BaseModel):
    """A pair of evaluations in one metric: second less first."""

    first: UUID
    second: UUID
    difference: float
    low: float
    high: float
    p_value: float = Field(description="Of this pair alone.")
    p_adjusted: float = Field(description="Holm's p-value over all pairs of this metric.")
    num_units: int


class MatrixOut(BaseModel):
    """All pairs in one headline metric."""

    metric: str
    unit: Unit
    better: Better
    num_comparisons: int = Field(description="Number of pairs: the family of Holm's method.")
    pairs: list[PairOut]


class ManyOut(BaseModel):
    """Many evaluations, compared with a baseline, and in all pairs.

    A worker makes the comparison when somebody first asks for it, and it is kept. Until then it is `waiting`
    or `running` and has no differences. It is `done`, or `failed` with a `reason`, or `cancelled`.
    """

    id: UUID
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    reason: str | None = Field(None, description="Why it failed.")
    waiting_for: WaitingFor = None
    progress: ComparisonProgress
    baseline: UUID
    evaluations: list[EvaluationOut] = Field(description="All, the baseline among them, without scores.")
    with_baseline: list[WithBaseline] = Field(description="Empty until it is done.")
    matrices: list[MatrixOut] = Field(description="All pairs, by headline metric. Empty until it is done.")
