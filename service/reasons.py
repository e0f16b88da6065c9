"""Make the text of an error for one reader.

Operators (administrators) read complete paths, messages of libraries, and logs. Other readers see no folder
of the operators: a path in a dataset begins with the dataset's name, and any other is only its last part.
A log may hold anything that a library printed, so only operators read logs.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from records.events import for_its_team
from records.models import DatasetRow
from service.auth import Caller
from vcp_core.catalog.errors import Show, VcpbenchError


class CauseOut(BaseModel):
    """Why something failed, for programs. The field `reason` beside it has the text for people."""

    code: str = Field(description="Which kind of error.", examples=["DatasetError"])
    path: str | None = Field(None, description="The file or folder of the error, as this reader may see it.")
    fields: dict[str, Any] = Field({}, description="Other facts, by kind of error.")


def is_operator(reader: Caller | None) -> bool:
    """Whether the reader may see where files lie on the workers, and what jobs printed."""
    return reader is not None and reader.admin


def text_for(
    error: VcpbenchError | None, reader: Caller | None, dataset: DatasetRow | None = None
) -> str | None:
    """Make an error's text for a reader.

    Args:
        error: Why something failed, if it did.
        reader: The reader; None without a token.
        dataset: The dataset that the error may be about.
    """
    return None if error is None else error.text(_show(reader, dataset))


def cause_for(
    error: VcpbenchError | None, reader: Caller | None, dataset: DatasetRow | None = None
) -> CauseOut | None:
    """Make the facts of an error for a reader. The arguments are those of `text_for`."""
    if error is None:
        return None
    path = error.path
    shown = None if path is None else VcpbenchError(path).text(_show(reader, dataset))
    return CauseOut(code=error.code, path=shown, fields=error.fields)


def _show(reader: Caller | None, dataset: DatasetRow | None) -> Show | None:
    if is_operator(reader):
        return None
    return for_its_team(dataset)
