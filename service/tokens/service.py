"""Make tokens of a team, and revoke them."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from records.models import Token
from records.repositories import locks, tokens
from service.auth import Caller
from service.problems import Forbidden, NotFound, TooMany
from service.tokens.schemas import TokenIn, TokenOut

MAX_LIVE_TOKENS = 200  # of a team; nobody keeps track of more
log = structlog.get_logger("vcpbench.service")


def create(session: Session, wanted: TokenIn, caller: Caller, longest_days: int) -> tuple[Token, str]:
    """Make a token of the caller's team. Return it with its secret.

    A token that expires makes no token that lives longer. Otherwise somebody who finds it could keep access.

    Args:
        session: Of the caller.
        wanted: The token.
        caller: Who makes it.
        longest_days: The longest life that the installation allows; 0 allows any.

    Raises:
        Forbidden: If the token would have more rights than its maker, or would live too long.
        TooMany: If the team has too many tokens that open something.
    """
    _check(wanted, caller, longest_days)
    team = wanted.team or caller.team
    locks.take(session, f"vcpbench.tokens.{team}")  # two tokens at once are counted one by one
    number = tokens.num_live(session, team)
    if number >= MAX_LIVE_TOKENS:
        raise TooMany(
            f"Team {team!r} has {number} tokens that open something, and {MAX_LIVE_TOKENS} are allowed. "
            "Revoke one first: DELETE /v1/tokens/ID.",
            limit="live tokens",
            used=number,
            allowed=MAX_LIVE_TOKENS,
        )
    made, secret = tokens.create(
        session,
        name=wanted.name,
        team=team,
        role=wanted.role,
        owner=wanted.owner or caller.owner,
        days=wanted.expires_days or longest_days or None,
        no_later_than=caller.expires_at,
    )
    log.info("token made", token=str(made.id), team=team, role=made.role.value, by=caller.name)
    return made, secret


def revoke(session: Session, token_id: UUID, caller: Caller) -> Token:
    """Revoke a token. It opens nothing from then on.

    Its owner revokes it by a token. Whoever may make such a token revokes it, too: of its team, a submitter
    or an administrator.

    Raises:
        NotFound: If the team has no such token, and the caller is no administrator.
        Forbidden: If the token has a higher role than the caller, and another owner.
    """
    found = tokens.get(session, token_id)
    if found is None or (found.team != caller.team and not caller.admin):
        raise NotFound(f"Team {caller.team!r} has no token {token_id}. List them: GET /v1/tokens.")
    if not may_revoke(found, caller):
        raise Forbidden(
            f"Token {found.name!r} has the role {found.role}, and you have the role {caller.role}. "
            f"Its owner, {found.owner!r}, or an administrator can revoke it."
        )
    tokens.revoke(session, found)
    log.info("token revoked", token=str(found.id), team=found.team, by=caller.name)
    return found


def may_revoke(found: Token | TokenOut, caller: Caller) -> bool:
    """Whether a caller may revoke a token of its team."""
    return caller.role.covers(found.role) or (found.owner == caller.owner and not caller.signed_in)


def _check(wanted: TokenIn, caller: Caller, longest_days: int) -> None:
    if not caller.role.covers(wanted.role):
        raise Forbidden(
            f"You have the role {caller.role}. A token of the role {wanted.role} would have more rights. "
            "Ask an administrator for it."
        )
    if wanted.team not in (None, caller.team) and not caller.admin:
        raise Forbidden(f"Only an administrator makes tokens for team {wanted.team!r}.")
    if wanted.owner not in (None, caller.owner) and not caller.admin:
        raise Forbidden(
            f"Only an administrator makes a token that {wanted.owner!r} owns. Leave out 'owner': then the "
            "token is yours."
        )
    if longest_days and (wanted.expires_days or 0) > longest_days:
        raise Forbidden(
            f"A token for {wanted.expires_days} days was asked for. This installation allows at most "
            f"{longest_days} days (VCPBENCH_TOKEN_DAYS)."
        )
