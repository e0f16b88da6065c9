"""Models as clients see them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from records.models import Checkpoint, CheckpointState
from records.repositories.models import Counted


class NewestOut(BaseModel):
    """A model's newest checkpoint that the reader may see."""

    id: UUID
    step: int | None
    run: str | None
    state: CheckpointState
    created_at: datetime


class ModelOut(BaseModel):
    """A model: a name under which a team's checkpoints come."""

    name: str = Field(examples=["r3d-vcp"])
    team: str = Field(examples=["vision"])
    num_checkpoints: int = Field(description="Checkpoints that you may see.")
    num_evaluations: int = Field(description="Evaluations of its checkpoints, in any state.")
    newest: NewestOut
    evaluated_at: datetime | None = Field(description="When the last of its evaluations ended.")


class ModelPage(BaseModel):
    """Some of the models; the one with the newest checkpoint comes first."""

    items: list[ModelOut]
    total: int


def shown(found: Counted) -> ModelOut:
    """The model for a client."""
    return ModelOut(
        name=found.model.name,
        team=found.model.team,
        num_checkpoints=found.num_checkpoints,
        num_evaluations=found.num_evaluations,
        newest=_newest(found.newest),
        evaluated_at=found.evaluated_at,
    )


def _newest(checkpoint: Checkpoint) -> NewestOut:
    return NewestOut.model_validate(checkpoint, from_attributes=True)
