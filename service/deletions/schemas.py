"""Deletions as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from records.repositories.deletions import Line

DryRun = Annotated[bool, Query(description="Only say what would go. Nothing changes.")]


class LineOut(BaseModel):
    """Some things of one kind."""

    kind: str = Field(description="The kind, in the plural.", examples=["features"])
    count: int
    size_bytes: int | None = Field(description="Their size in the store; null for what has no objects.")
    names: list[str] = Field(description="Their names, of aliases.", examples=[["@champion"]])


class DeletionOut(BaseModel):
    """What a deletion took, or would take."""

    kind: Literal["checkpoint", "dataset", "evaluation", "model"]
    id: UUID
    name: str = Field(description="The name of what goes.", examples=["vision/r3d-vcp"])
    team: str | None = Field(description="The team that it belongs to; null for a dataset.")
    model: str | None = Field(description="The name of its model; null for a dataset.")
    dry_run: bool = Field(description="Whether nothing changed.")
    goes: list[LineOut]
    stays: list[LineOut] = Field(description="What others use, too, and what therefore stays.")


class RetiredOut(BaseModel):
    """A dataset that lost its name. Its results stay until somebody deletes it."""

    id: UUID
    name: str
    fingerprint: str | None
    retired_at: datetime
    num_evaluations: int = Field(description="Evaluations on it, controls left out.")


class RetiredPage(BaseModel):
    """Some of the retired datasets, the last retired first."""

    items: list[RetiredOut]
    total: int


def lines(found: list[Line]) -> list[LineOut]:
    """The lines of an account for a client."""
    return [LineOut.model_validate(line, from_attributes=True) for line in found]
