"""Whose token is it?"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from records.models import Role
from service.auth import AnyCaller

router = APIRouter(tags=["operation"])


class Identity(BaseModel):
    """The bearer of a token."""

    name: str = Field(description="Name of the token.", examples=["ci"])
    team: str = Field(description="The team that the bearer reads and writes for.", examples=["vision"])
    role: Role = Field(description="What the bearer may do.", examples=["submitter"])
    owner: str = Field(description="The person or machine that answers for the token.", examples=["anna"])
    admin: bool = Field(description="Whether the role is admin.")
    expires_at: datetime | None = Field(description="When the token expires; null if it does not.")


@router.get("/whoami", summary="Show whose token this is")
def whoami(caller: AnyCaller) -> Identity:
    """The token's name, team, role and expiry."""
    return Identity(
        name=caller.name,
        team=caller.team,
        role=caller.role,
        owner=caller.owner,
        admin=caller.admin,
        expires_at=caller.expires_at,
    )
