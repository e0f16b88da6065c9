"""Quotas as clients see them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from service.body import Body
from service.forms import LONGEST_NAME, NOT_BLANK
from vcp_core.catalog.validation import Whole

_MOST_BYTES = (1 << 53) - 1  # every reader of JSON keeps such a number exactly
_MOST = (1 << 31) - 1  # of PostgreSQL's integer
Limit = Annotated[Whole, Field(ge=0, le=_MOST)]
LEFT_OUT = "If left out, the limit stays. Null: the installation's setting. 0: no limit."


TeamName = Annotated[str, StringConstraints(max_length=LONGEST_NAME, pattern=NOT_BLANK)]


class TeamIn(BaseModel):
    """The team that a form is about."""

    team: TeamName


class QuotaIn(Body):
    """What a team may use."""

    num_bytes: Annotated[Whole, Field(ge=0, le=_MOST_BYTES)] | None = Field(
        None, description=f"Bytes of its files. {LEFT_OUT}", examples=[100_000_000_000]
    )
    uploads_a_day: Limit | None = Field(
        None, description=f"New checkpoints within 24 hours. {LEFT_OUT}", examples=[200]
    )
    running: Limit | None = Field(
        None, description=f"Evaluations that wait or run. {LEFT_OUT}", examples=[500]
    )


class UseOut(BaseModel):
    """What a team uses of one limit."""

    used: int
    allowed: int | None = Field(description="Null if there is no limit.")
    own: bool = Field(description="Whether the limit is the team's own. If not, it is the installation's.")
    frees: str = Field(
        description="When there is room again.",
        examples=["Room is free when one of them ends."],
    )


class QuotaOut(BaseModel):
    """What a team uses, and what it may use."""

    team: str = Field(examples=["vision"])
    num_bytes: UseOut = Field(
        description="Bytes of its files. Equal files count once, and a declared file counts at once."
    )
    uploads_a_day: UseOut = Field(description="New checkpoints within 24 hours.")
    running: UseOut = Field(
        description="Evaluations that wait or run. Those that an administrator asked for again do not count."
    )
