"""Events as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from records.events import as_json
from records.models import Event, EventKind
from service.body import Body
from service.forms import Declaration

MOST_RULES = 100  # of one verdict


class EventOut(BaseModel):
    """Something that happened. Webhooks of the form `vcpbench` and streams send the same JSON."""

    id: int = Field(description="It ascends, and no event comes before an older one.", examples=[812])
    kind: EventKind
    at: datetime
    team: str = Field(examples=["vision"])
    checkpoint: UUID | None = Field(description="The checkpoint that it is about.")
    evaluation: UUID | None = Field(description="The evaluation that it is about.")
    url: str | None = Field(
        description="The evaluation's page, if the installation knows its own address (VCPBENCH_PUBLIC_URL)."
    )
    facts: dict[str, Any] = Field(
        description="More, by kind: `model`, `run`, `step`, `backbone`, `dataset`, `protocol`, `reason`, "
        "`scores`, `verdict`, `rules`, `by`."
    )

    @classmethod
    def of(cls, event: Event, base: str) -> EventOut:
        """For a client."""
        return cls.model_validate(as_json(event, base))


class EventPage(BaseModel):
    """Some of your team's events, the newest first."""

    items: list[EventOut]
    total: int


class RuleIn(Body):
    """A rule of a gate, with its verdict."""

    rule: Declaration = Field(
        description="The rule, as its author wrote it.", examples=["recognition.top1=40"]
    )
    verdict: Literal["skipped", "pass", "inconclusive", "fail"]


class VerdictIn(Body):
    """The verdict of a gate on an evaluation."""

    verdict: Literal["pass", "inconclusive", "fail"]
    rules: Annotated[list[RuleIn], Field(min_length=1, max_length=MOST_RULES)]
