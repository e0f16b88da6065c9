"""Tokens as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from records.models import Role, Token
from service.body import Body
from service.forms import Declaration, Name
from vcp_core.catalog.validation import Whole

MOST_DAYS = 3650
Days = Annotated[Whole, Field(ge=1, le=MOST_DAYS)]


class TokenIn(Body):
    """A token to make."""

    name: Declaration = Field(description="A name for people, such as its purpose.", examples=["ci"])
    role: Role = Field(
        Role.SUBMITTER,
        description="What its bearer may do. A reader reads; a submitter also uploads, evaluates and writes; "
        "an admin does so for every team, and registers datasets. At most your own role.",
    )
    expires_days: Days | None = Field(
        None,
        description="When it expires: in so many days. Left out, it does not expire, or after the longest "
        "life that the installation allows.",
        examples=[90],
    )
    team: Name | None = Field(None, description="Another team, for an administrator.", examples=["vision"])
    owner: Declaration | None = Field(
        None,
        description="The person or machine that answers for it. Only an administrator names somebody else.",
        examples=["anna"],
    )


class TokenOut(BaseModel):
    """A token. Its secret is told only once, when it is made."""

    id: UUID
    name: str = Field(examples=["ci"])
    team: str = Field(examples=["vision"])
    role: Role
    owner: str = Field(description="Who answers for it, and may revoke it.", examples=["anna"])
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None = Field(None, description="Null if it does not expire.")
    last_used_at: datetime | None = Field(None, description="To the minute; null if it was never used.")
    revoked_at: datetime | None = None


class NewTokenOut(TokenOut):
    """A token that was just made."""

    token: str = Field(description="The secret to hand out. vcpbench cannot show it again.")


class TokenPage(BaseModel):
    """Some of your team's tokens, the newest first."""

    items: list[TokenOut]
    total: int


def facts(token: Token, state: str) -> dict[str, object]:
    """The fields of a token for a client."""
    kept = {name: getattr(token, name) for name in TokenOut.model_fields if name != "state"}
    return {**kept, "state": state}
