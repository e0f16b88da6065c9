"""`/v1/notes`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from records.repositories import notes
from service.auth import AnyCaller, Reader
from service.deps import Limit, Offset, Router, SessionDep
from service.evaluations import named
from service.notes import service
from service.notes.schemas import NoteIn, NoteOut, NotePage, shown
from service.problems import WITH_BODY, responses
from service.references import EVALUATION, IS_NAMED

router = Router(prefix="/notes", tags=["notes"])
Evaluated = Annotated[str, Query(description=f"The evaluation. {EVALUATION}", json_schema_extra=IS_NAMED)]


@router.get("", responses=responses(404, 409), summary="List the notes on an evaluation")
def page(
    reader: Reader, session: SessionDep, evaluation: Evaluated, limit: Limit = 50, offset: Offset = 0
) -> NotePage:
    """The notes on an evaluation, the oldest first."""
    about = named.find(session, evaluation, reader)
    found, total = notes.page(session, about.id, limit=limit, offset=offset)
    return NotePage(items=[shown(note, reader) for note in found], total=total)


@router.post("", status_code=201, responses=responses(*WITH_BODY, 403, 404, 409), summary="Write a note")
def write(body: NoteIn, caller: AnyCaller, session: SessionDep, evaluation: Evaluated) -> NoteOut:
    """Write a note on an evaluation of your team. Everybody who may read the evaluation may read the note.

    A link that shares the page does not show its notes.
    """
    return shown(service.write(session, evaluation, body.text, caller), caller)


@router.put("/{note_id}", responses=responses(*WITH_BODY, 403, 404), summary="Change a note")
def change(note_id: UUID, body: NoteIn, caller: AnyCaller, session: SessionDep) -> NoteOut:
    """Write a note of your team anew. The note says who changed it and when; what it said before is gone."""
    return shown(service.change(session, note_id, body.text, caller), caller)


@router.delete("/{note_id}", responses=responses(403, 404), summary="Delete a note")
def delete(note_id: UUID, caller: AnyCaller, session: SessionDep) -> NoteOut:
    """Delete a note of your team. The answer is the note: to undo this, write it again."""
    return shown(service.delete(session, note_id, caller), caller)
