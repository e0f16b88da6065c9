"""Notes on evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Note


def of_evaluation(session: Session, evaluation_id: UUID) -> Sequence[Note]:
    """The notes on an evaluation, the oldest first."""
    query = select(Note).where(Note.evaluation_id == evaluation_id)
    return session.scalars(query.order_by(Note.created_at, Note.id)).all()


def page(session: Session, evaluation_id: UUID, *, limit: int, offset: int = 0) -> tuple[Sequence[Note], int]:
    """Some of the notes on an evaluation, the oldest first, and how many there are."""
    query = select(Note).where(Note.evaluation_id == evaluation_id).order_by(Note.created_at, Note.id)
    return session.scalars(query.limit(limit).offset(offset)).all(), count(session, evaluation_id)


def count(session: Session, evaluation_id: UUID) -> int:
    """How many notes an evaluation has."""
    query = select(func.count()).select_from(Note).where(Note.evaluation_id == evaluation_id)
    return session.scalar(query) or 0


def get(session: Session, note_id: UUID) -> Note | None:
    """Find a note by its id."""
    return session.get(Note, note_id)


def add(session: Session, evaluation_id: UUID, text: str, *, team: str, by: str) -> Note:
    """Write a note."""
    found = Note(evaluation_id=evaluation_id, text=text, team=team, by=by)
    session.add(found)
    session.flush()
    session.refresh(found)
    return found


def change(session: Session, note: Note, text: str, *, by: str) -> None:
    """Write a note anew, and note who did."""
    note.text, note.edited_at, note.edited_by = text, NOW, by
    session.flush()
    session.refresh(note)


def delete(session: Session, note: Note) -> None:
    """Delete a note."""
    session.delete(note)
    session.flush()
