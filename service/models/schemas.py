"""Models as clients see them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from records.models import Checkpoint, CheckpointState
from records.repositories.models import Counted
from service.body import Body
from service.forms import Label, ModelName, Text

MAX_TAGS = 20  # of a model; more of them would fill its page and say little
MODEL = "Your team's model, or `TEAM/MODEL`. A former name also works."
PRIVATE = "Whether only its team and administrators see the model and all that belongs to it."


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
    tags: list[str] = Field(description="Its tags, in alphabetical order.", examples=[["production"]])
    former_names: list[str] = Field(description="Names that it had before. They still lead to it.")
    private: bool = Field(description=PRIVATE)


class ModelPage(BaseModel):
    """Some of the models; the one with the newest checkpoint comes first."""

    items: list[ModelOut]
    total: int


class RenameIn(Body):
    """A new name for a model."""

    model: Text = Field(description=MODEL, examples=["r3d-vcp"])
    name: ModelName = Field(description="Its new name.", examples=["r3d-cloze"])


class TagsIn(Body):
    """Tags to add to a model, and tags to remove from it."""

    model: Text = Field(description=MODEL, examples=["r3d-vcp"])
    add: list[Label] = Field([], max_length=MAX_TAGS, examples=[["production"]])
    remove: list[Label] = Field([], max_length=MAX_TAGS, examples=[["candidate"]])


class PrivateIn(Body):
    """Whether a model shall be private."""

    model: Text = Field(description=MODEL, examples=["r3d-vcp"])
    private: StrictBool = Field(description=PRIVATE)


class NamedOut(BaseModel):
    """A model's names and tags, and who sees it."""

    name: str = Field(examples=["r3d-cloze"])
    team: str = Field(examples=["vision"])
    former_names: list[str] = Field(
        description="Names that it had before, the newest first. They still lead to it.",
        examples=[["r3d-vcp"]],
    )
    tags: list[str] = Field(description="In alphabetical order.", examples=[["production"]])
    private: bool = Field(description=PRIVATE)


def shown(found: Counted) -> ModelOut:
    """The model for a client."""
    return ModelOut(
        name=found.model.name,
        team=found.model.team,
        num_checkpoints=found.num_checkpoints,
        num_evaluations=found.num_evaluations,
        newest=_newest(found.newest),
        evaluated_at=found.evaluated_at,
        tags=found.tags,
        former_names=found.former_names,
        private=found.model.private,
    )


def _newest(checkpoint: Checkpoint) -> NewestOut:
    return NewestOut.model_validate(checkpoint, from_attributes=True)
