"""Checkpoints as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from records.models import Checkpoint, CheckpointState
from service.auth import Caller
from service.body import Body
from service.forms import Declaration, InputDeclaration, ModelName, Name, Sha256, Step, Text
from service.reasons import CauseOut, cause_for, text_for
from vcp_core.catalog.inputs import EXAMPLE
from vcp_core.catalog.networks import network_used
from vcp_core.catalog.validation import Whole

PREFIX = (
    "Which of several networks in the file to use, such as `teacher.`; `.` for keys without a prefix. If "
    "left out, the network that gradients trained is used. If nothing says which one that is, the file is "
    "rejected, and the reason lists the choices."
)
VARIANT = (
    "The network's form, if no tensor shows it: `tclr` (layer4 dilates time, BGR), `bgr`, ... Each backbone "
    "has its own. A name that the backbone lacks is refused, and the reason lists those that it has."
)
INPUT_SPEC = (
    "The network's input, if it is not the backbone's own: values of frames, stride, resize, crop, mean, std."
)
PRETRAINED_ON = (
    "Training data, separated by commas: `ucf101:1` or `ucf101:1,2` (training sides of splits), "
    "`kinetics400`, `none`, ... An entry of another form that contains the name of the test dataset gets a "
    "warning, because the training data may hold test videos."
)
PRIVATE = (
    "Whether only your team and administrators shall see the model, and all that belongs to it. It is for a "
    "new model: one that has checkpoints must be so already. If left out, a new model is public, unless this "
    "installation makes new models private (VCPBENCH_NEW_MODELS_PRIVATE)."
)


class CheckpointIn(Body):
    """The file that will be uploaded."""

    model: ModelName = Field(
        description="Name of the model that the checkpoint belongs to.", examples=["r3d-vcp"]
    )
    size_bytes: Whole = Field(ge=1, examples=[57_600_000])
    sha256: Sha256 = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    backbone: Text | None = Field(
        None, description="Its architecture; the service finds it if left out.", examples=["r3d"]
    )
    run: Name | None = Field(None, description="The training run.", examples=["vcp-2026-11"])
    step: Step | None = Field(None, description="Training step of that run.", examples=[12000])
    pretrained_on: Declaration | None = Field(None, description=PRETRAINED_ON, examples=["ucf101:1"])
    prefix: Declaration | None = Field(None, description=PREFIX, examples=["teacher."])
    variant: Text | None = Field(None, description=VARIANT, examples=["tclr"])
    input_spec: InputDeclaration | None = Field(None, description=INPUT_SPEC, examples=[EXAMPLE])
    private: StrictBool | None = Field(None, description=PRIVATE)


class NetworkOut(BaseModel):
    """The network of the file that was used, if the file holds several or the choice needs a note."""

    used: str = Field(description="The `prefix` that names it.", examples=["state_dict.student."])
    others: list[str] = Field(description="The `prefix` of each other whole network; not used.")
    why: str = Field(description="Why this network was chosen, or a fact about it.")


class CheckpointOut(BaseModel):
    """A checkpoint.

    It is `declared` until all its bytes are stored, and `ingesting` while the sandbox reads it. Then it is
    `ready`, or `rejected` with a `reason`.
    """

    id: UUID
    model: str
    team: str
    private: bool = Field(description="Whether only its team and administrators see its model.")
    state: CheckpointState
    reason: str | None = Field(None, description="Why it was rejected.")
    cause: CauseOut | None = Field(None, description="The reason, for programs.")
    size_bytes: int | None
    sha256: str | None
    received_bytes: int = Field(
        description="Bytes that are stored. An interrupted upload continues from here."
    )
    backbone: str | None = Field(None, description="As declared; once ready, as found.")
    run: str | None = None
    step: int | None = None
    pretrained_on: str | None = Field(None, description="As declared.")
    prefix: str | None = Field(None, description="As declared.")
    variant: str | None = Field(None, description="As declared; null for the backbone's usual form.")
    input_spec: str | None = Field(None, description="As declared; null for the backbone's own.")
    network: NetworkOut | None = Field(
        None, description="The network that was used, once ready; null if the file holds only one."
    )
    report: dict[str, Any] | None = Field(
        None,
        description="How the backbone was found in the file. `assumed` lists facts that evaluations rely on "
        "and that cannot be seen in the file.",
    )
    created_at: datetime
    uploaded_at: datetime | None = None


class CheckpointPage(BaseModel):
    """Some of the checkpoints, newest first."""

    items: list[CheckpointOut]
    total: int


def network_out(checkpoint: Checkpoint) -> NetworkOut | None:
    """Which network of its file was used, for a client."""
    found = network_used(checkpoint.report)
    return None if found is None else NetworkOut.model_validate(found, from_attributes=True)


def shown(checkpoint: Checkpoint, reader: Caller | None = None) -> CheckpointOut:
    """The checkpoint for a client."""
    assert checkpoint.model is not None
    if checkpoint.state is CheckpointState.DECLARED:
        received = sum(part.size_bytes for part in checkpoint.parts)
    else:  # without a query for its parts, because a list has many checkpoints
        received = checkpoint.size_bytes or 0
    return CheckpointOut(
        id=checkpoint.id,
        model=checkpoint.model.name,
        team=checkpoint.model.team,
        private=checkpoint.model.private,
        state=checkpoint.state,
        reason=text_for(checkpoint.reason, reader),
        cause=cause_for(checkpoint.reason, reader),
        size_bytes=checkpoint.size_bytes,
        sha256=checkpoint.sha256,
        received_bytes=received,
        backbone=checkpoint.backbone,
        run=checkpoint.run,
        step=checkpoint.step,
        pretrained_on=checkpoint.pretrained_on,
        prefix=checkpoint.prefix,
        variant=checkpoint.variant,
        input_spec=checkpoint.input_spec,
        network=network_out(checkpoint),
        report=checkpoint.report,
        created_at=checkpoint.created_at,
        uploaded_at=checkpoint.uploaded_at,
    )
