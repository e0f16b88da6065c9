"""Saved views as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from records.models import SavedView
from service.body import Body
from service.forms import VIEW, Declaration

LONGEST_ADDRESS = 2000  # characters
Address = Annotated[str, StringConstraints(max_length=LONGEST_ADDRESS, pattern=VIEW)]


class ViewIn(Body):
    """A name for the address of a page."""

    name: Declaration = Field(examples=["our runs of November"])
    address: Address = Field(
        description="The page's path and query: `/?...` (board), `/models?...` or `/compare?...`.",
        examples=["/?dataset=playground-136&team=vision"],
    )


class ViewOut(BaseModel):
    """A view that your team saved."""

    id: UUID
    name: str
    address: str
    by: str = Field(description="Name of the token that saved it.")
    created_at: datetime


class ViewPage(BaseModel):
    """Some of your team's views, by page and name."""

    items: list[ViewOut]
    total: int


def shown(view: SavedView) -> ViewOut:
    """The view for a client."""
    return ViewOut(
        id=view.id, name=view.name, address=address_of(view), by=view.by, created_at=view.created_at
    )


def address_of(view: SavedView) -> str:
    """The address that the view names."""
    return f"{view.page}?{view.query}" if view.query else view.page
