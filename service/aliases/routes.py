"""`/v1/aliases`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from records.repositories import aliases
from service.aliases import service
from service.aliases.schemas import AliasIn, AliasName, AliasOut, AliasPage, HistoryOut, move_out, shown
from service.auth import AnyCaller
from service.auth import Reader as AnyReader
from service.checkpoints.named import Among
from service.deps import Limit, Offset, Router, SessionDep
from service.problems import WITH_BODY, NotFound, responses
from service.visible import visible_to
from vcp_core.catalog.validation import quoted

router = Router(prefix="/aliases", tags=["aliases"])
Named = Annotated[AliasName, Path(description="The alias, without its `@`.")]
TeamOf = Annotated[str | None, Query(description="The team that it belongs to; your own if left out.")]


@router.get("", summary="List aliases")
def page(
    reader: AnyReader,
    session: SessionDep,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> AliasPage:
    """Aliases by team and name, and the checkpoints at which they point."""
    among = Among.seen_by(reader).where
    found, total = aliases.page(session, among=among, team=team, limit=limit, offset=offset)
    return AliasPage(items=[shown(*one, reader) for one in found], total=total)


@router.put("/{name}", responses=responses(*WITH_BODY, 404, 409), summary="Point an alias at a checkpoint")
def point(name: Named, body: AliasIn, caller: AnyCaller, session: SessionDep) -> AliasOut:
    """Make an alias of your team, or move it. `@NAME` then names the checkpoint wherever its id does.

    Where the alias pointed before is kept. To undo a move, point the alias there again.
    """
    return shown(*service.point(session, name, body.checkpoint, caller), caller)


@router.delete("/{name}", status_code=204, responses=responses(403, 404), summary="Remove an alias")
def remove(name: Named, caller: AnyCaller, session: SessionDep, team: TeamOf = None) -> None:
    """Remove an alias of your team.

    Its history is kept. Pointing the alias at a checkpoint creates it again.
    """
    service.remove(session, name, team, caller)


@router.get("/{name}/history", responses=responses(404), summary="Show where an alias pointed")
def history(name: Named, reader: AnyReader, session: SessionDep, team: TeamOf = None) -> HistoryOut:
    """Every move of an alias with its time, the newest first."""
    whose = team or (reader.team if reader else None)
    if whose is None:
        raise NotFound("An alias belongs to a team. Name the team: ?team=TEAM.")
    moves = aliases.history(session, whose, name, visible_to(reader), service.MOST_MOVES)
    if not moves:
        raise NotFound(
            f"Team {quoted(whose)} has no alias @{name}, and never had. List them: GET /v1/aliases."
        )
    return HistoryOut(name=name, team=whose, moves=[move_out(one, reader) for one in moves])
