"""The base of every body of a request."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

from vcp_core.catalog.validation import whole


class Body(BaseModel):
    """A body of a request: without unknown fields, and with 3.0 as good as 3, as JSON Schema has it."""

    model_config = ConfigDict(extra="forbid")

    _whole = field_validator("*", mode="before")(whole)
