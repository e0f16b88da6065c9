"""Sizes as clients see them."""

from __future__ import annotations

from pydantic import BaseModel, Field

SHARED = "null for what all teams share"


class SizeOut(BaseModel):
    """The objects of one kind, of one team and one dataset."""

    kind: str = Field(description="The kind, in the plural.", examples=["features"])
    team: str | None = Field(description=f"The team; {SHARED}.", examples=["vision"])
    dataset: str | None = Field(description="The dataset; null for what belongs to none.")
    count: int = Field(description="Number of objects.")
    size_bytes: int
    would_free_bytes: int = Field(description="How much of it the next sweep would delete.")


class SizesOut(BaseModel):
    """What is in the store."""

    sizes: list[SizeOut] = Field(description="By kind, team and dataset.")
    count: int = Field(description="Number of all objects.")
    size_bytes: int = Field(description="Their size.")
    would_free_bytes: int = Field(description="How much the next sweep would delete.")
