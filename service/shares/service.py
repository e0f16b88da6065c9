"""Make links that read one page, and revoke them."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from sqlalchemy.orm import Session

from records.models import ComparisonState, Evaluation, Share
from records.repositories import comparisons, locks, shares
from service.auth import Caller
from service.evaluations import named
from service.evaluations.service import check_done
from service.problems import Conflict, Forbidden, NotFound, TooMany
from service.shares.schemas import ShareIn
from vcp_core.scoring.stored_comparison import COMPARED_VERSION

MAX_LIVE_SHARES = 200  # of a team; nobody keeps track of more


def create(session: Session, wanted: ShareIn, caller: Caller, most_days: int) -> tuple[Share, str]:
    """Make a link to an evaluation or a comparison. Return it with its secret.

    Args:
        session: Of the caller.
        wanted: The page, and for how long.
        caller: Who makes the link.
        most_days: The installation's limit; 0 forbids links.

    Raises:
        NotFound: If there is no such evaluation.
        Forbidden: If an evaluation is another team's, or the installation forbids such a link.
        Conflict: If an evaluation or the comparison is not done.
        TooMany: If the team has too many links that open something.
    """
    if wanted.days > most_days:
        allowed = f"for at most {most_days} days" if most_days else "not at all"
        raise Forbidden(
            f"A link for {wanted.days} days was asked for. This installation allows links {allowed} "
            "(VCPBENCH_SHARE_LINKS_DAYS)."
        )
    second = _own(session, wanted.evaluation, caller)
    first = None if wanted.against is None else _own(session, wanted.against, caller)
    if first is not None:
        _check_compared(session, first, second)
    locks.take(session, f"vcpbench.shares.{caller.team}")  # two links at once are counted one by one
    number = shares.num_live(session, caller.team)
    if number >= MAX_LIVE_SHARES:
        raise TooMany(
            f"Team {caller.team!r} has {number} links that open a page, and {MAX_LIVE_SHARES} are allowed. "
            "Revoke one first: DELETE /v1/shares/ID.",
            limit="live share links",
            used=number,
            allowed=MAX_LIVE_SHARES,
        )
    one, other = (second.id, None) if first is None else (first.id, second.id)
    return shares.create(session, one, other, team=caller.team, by=caller.name, days=wanted.days)


def address(request: Request, secret: str) -> str:
    """The address to hand out."""
    base = str(request.app.state.settings.public_url or request.base_url).rstrip("/")
    return f"{base}/shared/{secret}"


def may_share(evaluation: Evaluation, caller: Caller | None) -> bool:
    """Whether a caller may show an evaluation to people without a token. All teams share a control."""
    return caller is not None and (caller.admin or evaluation.is_control or evaluation.team == caller.team)


def revoke(session: Session, share_id: UUID, caller: Caller) -> Share:
    """Revoke a link of the caller's team. It opens nothing from then on.

    Raises:
        NotFound: If the team has no such link, and the caller is no administrator.
    """
    found = shares.get(session, share_id)
    if found is None or (found.team != caller.team and not caller.admin):
        raise NotFound(f"Team {caller.team!r} has no link {share_id}. List them: GET /v1/shares.")
    shares.revoke(session, found, by=caller.name)
    return found


def _own(session: Session, wanted: str, caller: Caller) -> Evaluation:
    found = named.find(session, wanted, caller)
    if not may_share(found, caller):
        raise Forbidden(
            f"Evaluation {found.id} belongs to team {found.team!r}. Only this team and administrators "
            "share it with people who have no token."
        )
    check_done(found, caller)
    return found


def _check_compared(session: Session, first: Evaluation, second: Evaluation) -> None:
    found = comparisons.find(session, first.id, second.id, version=COMPARED_VERSION)
    if found is None or found.state is not ComparisonState.DONE:
        raise Conflict(
            f"The comparison of {second.id} with {first.id} is not done. Ask for it by "
            f"GET /v1/comparisons?first={first.id}&second={second.id}, and share it once it is done."
        )
