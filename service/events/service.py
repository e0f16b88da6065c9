"""List events, and store the verdicts of gates."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from records.events import facts_of
from records.models import Event, EventKind
from records.repositories import events
from service.auth import Caller, is_of
from service.evaluations import named
from service.evaluations.service import check_done
from service.events.schemas import VerdictIn
from service.problems import Forbidden, TooMany

MAX_VERDICTS = 100  # of one evaluation: a gate that runs again judges the same one


def watched(session: Session, wanted: str | None, caller: Caller) -> UUID | None:
    """The evaluation whose events are asked for; None for those of the whole team.

    Raises:
        NotFound: If there is no such evaluation.
        Forbidden: If it is another team's.
    """
    if wanted is None:
        return None
    found = named.find(session, wanted, caller)
    if not is_of(found.team, caller):
        raise Forbidden(
            f"Evaluation {found.id} belongs to team {found.team!r}. Only this team and administrators read "
            "its events."
        )
    return found.id


def judge(session: Session, wanted: str, verdict: VerdictIn, caller: Caller) -> Event:
    """Store the verdict of a gate as an event.

    Raises:
        NotFound: If there is no such evaluation.
        Forbidden: If it is another team's.
        Conflict: If it is not done.
        TooMany: If it has too many verdicts.
    """
    found = named.find(session, wanted, caller)
    if not is_of(found.team, caller):
        raise Forbidden(
            f"Evaluation {found.id} belongs to team {found.team!r}. Only this team and administrators store "
            "verdicts on it."
        )
    check_done(found, caller)
    number = events.num_verdicts(session, found.id)
    if number >= MAX_VERDICTS:
        raise TooMany(
            f"Evaluation {found.id} has {number} verdicts, and {MAX_VERDICTS} are allowed. They are deleted "
            f"after {events.KEPT.days} days.",
            limit="verdicts",
            used=number,
            allowed=MAX_VERDICTS,
        )
    said = verdict.model_dump()
    return events.add(
        session,
        EventKind.GATE_VERDICT,
        team=found.team,
        checkpoint_id=found.checkpoint_id,
        evaluation_id=found.id,
        facts={**facts_of(session, found), **said, "by": caller.name},
    )
