"""`/v1/models`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from records.repositories import models
from service.auth import Reader
from service.checkpoints.named import Among
from service.deps import Limit, Offset, Router, SessionDep
from service.models.schemas import ModelPage, shown

router = Router(prefix="/models", tags=["models"])


@router.get("", summary="List models")
def page(
    reader: Reader,
    session: SessionDep,
    name: Annotated[str | None, Query(description="Only models whose name contains this.")] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> ModelPage:
    """Models, the one with the newest checkpoint first; one with nothing ready is shown to its team only."""
    found, total = models.page(
        session,
        among=Among.seen_by(reader).where,
        name=name,
        team=team,
        limit=limit,
        offset=offset,
    )
    return ModelPage(items=[shown(one) for one in found], total=total)
