"""Maps as clients see them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.evaluations.schemas import WaitingFor
from vcp_core.scoring.maps import VideoMap


class MapProgress(BaseModel):
    """The progress of a map."""

    fraction: float = Field(
        description="Share of the steps that are done; 1 only once all is done.", examples=[0.67]
    )
    stage: str = Field(description="What is done now, in words.", examples=["drawing a map"])


class MapOut(BaseModel):
    """The test videos of an evaluation in two dimensions: videos whose features are alike lie together.

    A worker draws it when somebody first asks for it, and it is kept. Until then it is `waiting` or `running`
    and has no `map`. It is `done`, or `failed` with a `reason`.
    """

    state: Literal["waiting", "running", "done", "failed"]
    reason: str | None = Field(None, description="Why it failed.")
    waiting_for: WaitingFor = None
    progress: MapProgress
    evaluation: UUID
    against: UUID | None = Field(
        None,
        description="The evaluation whose map this one begins at, so that a class lies at a similar place.",
    )
    map: VideoMap | None = Field(None, description="Positions and answers by video, once it is done.")
