"""Notes as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from records.models import Note
from service.auth import Caller, is_of
from service.body import Body
from service.forms import NOT_BLANK

LONGEST_NOTE = 4000  # characters: a page of text


def _one_kind_of_line_break(text: str) -> str:
    """A browser's form sends CR LF, and a shell sends LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


NoteText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_NOTE, pattern=NOT_BLANK),
    AfterValidator(_one_kind_of_line_break),
]
BY = "Name of the token that did it; null for a reader of another team."


class NoteIn(Body):
    """What a note says."""

    text: NoteText = Field(
        description="Plain text. Line breaks are kept.", examples=["The learning rate was too high."]
    )


class NoteOut(BaseModel):
    """A note on an evaluation. Everybody who may read the evaluation may read it."""

    id: UUID
    evaluation: UUID
    team: str = Field(description="The team of its writer.", examples=["vision"])
    by: str | None = Field(description=BY, examples=["anna"])
    text: str
    created_at: datetime
    edited_at: datetime | None = Field(None, description="When it was last changed.")
    edited_by: str | None = Field(None, description=BY)


class NotePage(BaseModel):
    """Some of the notes on an evaluation, the oldest first."""

    items: list[NoteOut]
    total: int


def shown(note: Note, reader: Caller | None) -> NoteOut:
    """The note for a client."""
    mine = is_of(note.team, reader)
    return NoteOut(
        id=note.id,
        evaluation=note.evaluation_id,
        team=note.team,
        by=note.by if mine else None,
        text=note.text,
        created_at=note.created_at,
        edited_at=note.edited_at,
        edited_by=note.edited_by if mine else None,
    )
