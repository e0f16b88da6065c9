"""The board as clients see it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from service.evaluations.schemas import DatasetRef, ProtocolRef
from vcp_core.catalog.scores import Score


class BoardRow(BaseModel):
    """One finished evaluation."""

    rank: int | None = Field(
        description="Rank by the metric that the board is sorted by. 1 is the best, in either order."
    )
    tied: bool = Field(
        description="Whether rows share the rank: their scores lie within the interval of its first row."
    )
    evaluation: UUID
    model: str
    team: str
    backbone: str | None
    run: str | None
    step: int | None
    checkpoint: UUID
    sha256: str | None
    finished_at: datetime | None
    outdated: bool = Field(
        False,
        description="Whether the facts of the checkpoint's key scheme have changed since. Ask for it again.",
    )
    scores: dict[str, Score]


class ControlRow(BaseModel):
    """Random weights under the same conditions, or the pixel baseline."""

    evaluation: UUID
    backbone: str | None
    seed: int | None = Field(description="Seed of random weights; null for the pixel baseline.")
    scores: dict[str, Score]


class Board(BaseModel):
    """Finished evaluations of one dataset, one protocol and one engine."""

    dataset: DatasetRef
    protocol: ProtocolRef
    engine: str = Field(description="The engine that made the results. A board never mixes two engines.")
    older: bool = Field(description="Whether another version of vcpbench made them.")
    sort: str = Field(examples=["-recognition.top1"])
    total: int
    rows: list[BoardRow]
    controls: list[ControlRow]
