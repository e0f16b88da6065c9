"""`/v1/models`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from records.repositories import models
from service.auth import AnyCaller, Reader
from service.checkpoints.named import Among
from service.deps import Limit, Offset, Router, SessionDep
from service.forms import Label
from service.models import service
from service.models.schemas import ModelPage, NamedOut, PrivateIn, RenameIn, TagsIn, shown
from service.problems import WITH_BODY, responses

router = Router(prefix="/models", tags=["models"])


@router.get("", summary="List models")
def page(
    reader: Reader,
    session: SessionDep,
    name: Annotated[
        str | None, Query(description="Only models whose name contains this, or once did.")
    ] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    tag: Annotated[Label | None, Query(description="Only with this tag.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> ModelPage:
    """Models, the one with the newest checkpoint first; one with nothing ready is shown to its team only."""
    found, total = models.page(
        session,
        among=Among.seen_by(reader).where,
        name=name,
        team=team,
        tag=tag,
        limit=limit,
        offset=offset,
    )
    return ModelPage(items=[shown(one) for one in found], total=total)


@router.post("/rename", responses=responses(*WITH_BODY, 404, 409), summary="Rename a model")
def rename(body: RenameIn, caller: AnyCaller, session: SessionDep) -> NamedOut:
    """Give a model of your team another name. Its old name still leads to it: links and gates go on working.

    A name that another model of the team has or had is refused (409). To undo this, rename it back.
    """
    return service.named(session, service.rename(session, body.model, body.name, caller))


@router.post("/tags", responses=responses(*WITH_BODY, 404, 409), summary="Add and remove tags")
def tags(body: TagsIn, caller: AnyCaller, session: SessionDep) -> NamedOut:
    """Add tags to a model of your team, and remove tags from it.

    Adding a tag that the model has, or removing one that it lacks, changes nothing.
    """
    return service.named(session, service.change_tags(session, body, caller))


@router.post("/private", responses=responses(*WITH_BODY, 404), summary="Make a model private or public")
def private(body: PrivateIn, caller: AnyCaller, session: SessionDep) -> NamedOut:
    """Make a model of your team private, or public.

    Only your team and administrators see a private model: its checkpoints, evaluations, scores, notes and
    aliases, and that it exists. For all others the answers are those for a model that does not exist. A link
    that your team made still opens its page.
    """
    return service.named(session, service.set_private(session, body, caller))
