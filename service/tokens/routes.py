"""`/v1/tokens`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from records.repositories import tokens
from service.auth import Submitter
from service.deps import Limit, Offset, Router, SessionDep, SettingsDep
from service.problems import WITH_BODY, Forbidden, responses
from service.tokens import service
from service.tokens.schemas import NewTokenOut, TokenIn, TokenOut, TokenPage, facts

router = Router(prefix="/tokens", tags=["tokens"])


@router.get("", responses=responses(403), summary="List your team's tokens")
def page(
    caller: Submitter,
    session: SessionDep,
    team: Annotated[str | None, Query(description="Another team, for an administrator.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> TokenPage:
    """Your team's tokens without their secrets, the newest first, also those that open nothing any more."""
    if team not in (None, caller.team) and not caller.admin:
        raise Forbidden("Only an administrator lists the tokens of another team.")
    found, total = tokens.page(session, team or caller.team, limit=limit, offset=offset)
    states = tokens.states(session, found)
    return TokenPage(
        items=[TokenOut.model_validate(facts(one, states[one.id])) for one in found], total=total
    )


@router.post("", status_code=201, responses=responses(*WITH_BODY), summary="Make a token")
def create(body: TokenIn, caller: Submitter, session: SessionDep, settings: SettingsDep) -> NewTokenOut:
    """Make a token of your team, with at most your own role. Its secret is told only here.

    If your own token expires, the new one expires at the same time at the latest.
    """
    made, secret = service.create(session, body, caller, settings.token_days)
    return NewTokenOut.model_validate({**facts(made, "live"), "token": secret})


@router.delete("/{token_id}", responses=responses(404), summary="Revoke a token")
def revoke(token_id: UUID, caller: Submitter, session: SessionDep) -> TokenOut:
    """Revoke a token of your team. It opens nothing from then on. To undo this, make a new token.

    A token of a higher role than yours is revoked by its owner or by an administrator.
    """
    found = service.revoke(session, token_id, caller)
    return TokenOut.model_validate(facts(found, tokens.states(session, [found])[found.id]))
