"""Share links as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from records.models import Share
from service.body import Body
from service.references import EVALUATION, Reference
from vcp_core.catalog.validation import Whole

DEFAULT_DAYS = 14
MOST_DAYS = 365
Days = Annotated[Whole, Field(ge=1, le=MOST_DAYS)]


class ShareIn(Body):
    """The page that a link shall read."""

    evaluation: Reference = Field(
        description=f"An evaluation of your team that is done. {EVALUATION}", examples=["r3d-vcp@latest"]
    )
    against: Reference | None = Field(
        None,
        description="If given, the link reads the comparison of the evaluation with this one.",
        examples=["0d9c2c0e"],
    )
    days: Days = Field(DEFAULT_DAYS, description="When it expires: in so many days.", examples=[30])


class ShareOut(BaseModel):
    """A link that reads one page without a token. Its secret is told only once, when it is made."""

    id: UUID
    team: str = Field(examples=["vision"])
    by: str = Field(description="Name of the token that made it.", examples=["anna"])
    state: Literal["live", "expired", "revoked", "deleted"] = Field(
        description="`deleted`: what it opened was deleted. It opens nothing any more."
    )
    evaluation: UUID | None
    against: UUID | None = Field(description="Of a comparison: what the evaluation is compared with.")
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    deleted_at: datetime | None = Field(None, description="When what it opened was deleted.")


class NewShareOut(ShareOut):
    """A link that was just made."""

    url: str = Field(description="The address to hand out. vcpbench cannot show it again.")


class SharePage(BaseModel):
    """Some of your team's links, the newest first."""

    items: list[ShareOut]
    total: int


def facts(share: Share, state: str) -> dict[str, object]:
    """The fields of a link for a client. A row's first evaluation of a comparison is its baseline."""
    of_two = share.second_id is not None
    return {
        "id": share.id,
        "team": share.team,
        "by": share.by,
        "state": state,
        "evaluation": share.second_id if of_two else share.evaluation_id,
        "against": share.evaluation_id if of_two else None,
        "created_at": share.created_at,
        "expires_at": share.expires_at,
        "revoked_at": share.revoked_at,
        "revoked_by": share.revoked_by,
        "deleted_at": share.deleted_at,
    }
