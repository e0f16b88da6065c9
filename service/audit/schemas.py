"""Entries of the audit log as clients see them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class AuditOut(BaseModel):
    """A request that changed something."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    team: str = Field(examples=["vision"])
    by: str = Field(description="Name of the token that sent the request.", examples=["anna"])
    action: str = Field(description="Method and path of the request.", examples=["POST /v1/shares"])
    subject: dict[str, str] = Field(
        description="What the request named, and the id of what it made.", examples=[{"model": "r3d-vcp"}]
    )
    address: str = Field(description="The address that it came from.", examples=["192.0.2.7"])


class AuditPage(BaseModel):
    """Some entries of the audit log, the newest first."""

    items: list[AuditOut]
    total: int
