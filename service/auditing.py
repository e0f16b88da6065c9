"""Note who changed what, in the transaction of the change.

`service.deps` calls `note` for every request that writes, so a new route is noted without being told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.orm import Session

from records.repositories import audit
from service.auth import Caller, address_of

READS = ("GET", "HEAD")
# Fields that say what a request is about. No other field is noted: it may hold a secret or a text.
ABOUT = (
    "model", "checkpoint", "evaluation", "evaluations", "against", "dataset", "protocol", "name", "run",
    "step", "team", "alias", "note", "share", "view", "log", "webhook", "delivery", "verdict",
    "job", "worker", "person", "what", "wanted", "role", "private", "token_id", "kind",
)  # fmt: skip
MOST_CHARACTERS = 200  # of one value


def note(request: Request, session: Session, given: Mapping[str, Any], answer: object = None) -> None:
    """Write who sent a request that changes something, from where, and what it is about.

    Args:
        request: The request; one that only reads, is a dry run or was refused is not noted.
        session: Of the change.
        given: The arguments of the route: parameters, a body, or the fields of a page's form.
        answer: The route's answer. The id of what it made is noted.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    refused = getattr(answer, "status_code", 200) >= 400
    if caller is None or request.method in READS or refused or getattr(answer, "dry_run", False):
        return
    fields = dict(given)
    for one in given.values():
        if isinstance(one, BaseModel):
            fields |= one.model_dump(exclude_none=True)
        elif isinstance(one, dict):
            fields |= one
    subject = {name: _short(fields[name]) for name in ABOUT if fields.get(name) not in (None, "")}
    made = getattr(answer, "id", None)
    if made is not None:
        subject["id"] = str(made)
    audit.add(
        session,
        team=caller.team,
        by=caller.name,
        by_admin=caller.admin,
        action=f"{request.method} {request.url.path[:MOST_CHARACTERS]}",
        subject=subject,
        address=address_of(request),
    )


def _short(value: object) -> str:
    return str(value)[:MOST_CHARACTERS]
