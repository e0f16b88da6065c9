"""Write, change and delete notes."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from records.models import Evaluation, Note
from records.repositories import evaluations, locks, notes
from service.auth import Caller, is_of
from service.evaluations import named
from service.problems import Conflict, Forbidden, NotFound
from service.visible import visible_to

log = structlog.get_logger("vcpbench.service")
MAX_NOTES = 50  # on one evaluation; its page shows all of them


def write(session: Session, wanted: str, text: str, caller: Caller) -> Note:
    """Write a note on an evaluation of the caller's team.

    Raises:
        NotFound: If there is no such evaluation.
        Forbidden: If it is another team's.
        Conflict: If it has too many notes.
    """
    evaluation = named.find(session, wanted, caller)
    if not may_write(evaluation, caller):
        whose = "is a control" if evaluation.is_control else f"belongs to team {evaluation.team!r}"
        raise Forbidden(
            f"Evaluation {evaluation.id} {whose}. Only its team and administrators write notes on it."
        )
    locks.take(session, f"vcpbench.notes.{evaluation.id}")  # two notes at once are counted one by one
    number = notes.count(session, evaluation.id)
    if number >= MAX_NOTES:
        raise Conflict(
            f"Evaluation {evaluation.id} has {number} notes, and {MAX_NOTES} are allowed. Delete one first."
        )
    return notes.add(session, evaluation.id, text, team=caller.team, by=caller.name)


def change(session: Session, note_id: UUID, text: str, caller: Caller) -> Note:
    """Write a note anew.

    Raises:
        NotFound: If there is no such note.
        Forbidden: If another team wrote it.
    """
    found = _own(session, note_id, caller)
    if found.text != text:
        notes.change(session, found, text, by=caller.name)
    return found


def delete(session: Session, note_id: UUID, caller: Caller) -> Note:
    """Delete a note, and return what it said.

    Raises:
        NotFound: If there is no such note.
        Forbidden: If another team wrote it.
    """
    found = _own(session, note_id, caller)
    notes.delete(session, found)
    log.info("note deleted", note=str(found.id), evaluation=str(found.evaluation_id), by=caller.name)
    return found


def may_write(evaluation: Evaluation, caller: Caller | None) -> bool:
    """Whether a caller may write notes on an evaluation. All teams share a control."""
    if caller is None:
        return False
    return caller.admin or (not evaluation.is_control and is_of(evaluation.team, caller))


def _own(session: Session, note_id: UUID, caller: Caller) -> Note:
    found = notes.get(session, note_id)
    if found is None or evaluations.get(session, found.evaluation_id, visible_to(caller)) is None:
        raise NotFound(f"No note {note_id}. List those of an evaluation: GET /v1/notes?evaluation=ID.")
    if not is_of(found.team, caller):
        raise Forbidden(f"Team {found.team!r} wrote note {note_id}, and only this team changes it.")
    return found
