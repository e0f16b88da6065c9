"""Whose token is it?"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.auth import AnyCaller

router = APIRouter(tags=["operation"])


class Identity(BaseModel):
    """The bearer of a token."""

    name: str = Field(description="Name of the token.", examples=["ci"])
    team: str = Field(description="The team that the token may upload for.", examples=["vision"])
    admin: bool = Field(description="Whether the bearer is an administrator, who may register datasets.")


@router.get("/whoami", summary="Show whose token this is")
def whoami(caller: AnyCaller) -> Identity:
    """The token's name and team, and what it may do."""
    return Identity(name=caller.name, team=caller.team, admin=caller.admin)
