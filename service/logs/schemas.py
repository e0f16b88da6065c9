"""Training logs as clients see them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from records.models import LogRow
from service.auth import Caller, is_of


class LogOut(BaseModel):
    """The training log of one run of a model, without its curves."""

    id: UUID
    model: str = Field(examples=["r3d-vcp"])
    team: str = Field(examples=["vision"])
    run: str | None = Field(description="The training run; null for checkpoints without one.")
    num_rows: int = Field(description="Number of steps.")
    names: list[str] = Field(description="Names of its curves.", examples=[["loss"]])
    uploaded_at: datetime = Field(description="When it was uploaded last.")
    by: str | None = Field(
        description="Name of the token that uploaded it; null for a reader of another team."
    )


class CurvesOut(LogOut):
    """The training log of one run of a model."""

    steps: list[int] = Field(description="The steps, ascending.", examples=[[100, 200]])
    curves: dict[str, list[float | None]] = Field(
        description="By name, a value for each step; null where there is none.",
        examples=[{"loss": [1.6, 1.5]}],
    )


class LogPage(BaseModel):
    """Some of the training logs of a model, the last uploaded first."""

    items: list[LogOut]
    total: int


def shown(row: LogRow, reader: Caller | None) -> LogOut:
    """The log for a client, without its curves."""
    return LogOut(
        id=row.id,
        model=row.model.name,
        team=row.model.team,
        run=row.run,
        num_rows=row.num_rows,
        names=row.names,
        uploaded_at=row.uploaded_at,
        by=row.by if is_of(row.model.team, reader) else None,
    )


def with_curves(row: LogRow, reader: Caller | None) -> CurvesOut:
    """The log for a client."""
    return CurvesOut(**shown(row, reader).model_dump(), steps=row.steps, curves=row.curves)
