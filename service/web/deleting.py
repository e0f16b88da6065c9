"""The page that deletes: it says what would go, asks for the name, and then deletes."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from service.auth import AnyCaller, Caller
from service.deletions import service
from service.deletions.schemas import DeletionOut
from service.deps import Router, SessionDep
from service.web.pages import model_path, render
from service.web.session import Form
from service.web.writing import PRIVATE, Sender

router = Router(include_in_schema=False)


class Kind(StrEnum):
    """What the page can delete. For datasets there is `vcpbench delete dataset`."""

    MODEL = "model"
    CHECKPOINT = "checkpoint"
    EVALUATION = "evaluation"


_DELETE: dict[Kind, Callable[..., DeletionOut]] = {
    Kind.MODEL: service.model,
    Kind.CHECKPOINT: service.checkpoint,
    Kind.EVALUATION: service.evaluation,
}


@router.get("/delete/{kind}/{wanted:path}")
def ask(request: Request, caller: AnyCaller, session: SessionDep, kind: Kind, wanted: str) -> Response:
    """Say what a deletion would take, and ask for the name."""
    return _page(request, session, kind, wanted, caller)


@router.post("/forms/delete/{kind}")
def delete(request: Request, form: Form, sender: Sender, session: SessionDep, kind: Kind) -> Response:
    """Delete what the page showed, if the name of its model was typed."""
    wanted, typed = form.get("wanted", ""), form.get("name", "").strip()
    if typed != _DELETE[kind](session, wanted, sender, dry_run=True).model:
        return _page(request, session, kind, wanted, sender, typed=typed)
    _DELETE[kind](session, wanted, sender, dry_run=False)
    return RedirectResponse("/models" if kind is Kind.MODEL else "/evaluations", status_code=303)


def _page(
    request: Request, session: Session, kind: Kind, wanted: str, caller: Caller, *, typed: str | None = None
) -> Response:
    would = _DELETE[kind](session, wanted, caller, dry_run=True)
    model = model_path(would.team or "", would.model or "")
    return render(
        request,
        "delete.html",
        status=200 if typed is None else 422,
        headers=PRIVATE,
        would=would,
        # An id, because a name such as MODEL@latest may mean another one when the form is sent. A model has
        # only names, and another name than the one that was looked up may mean another model.
        wanted=wanted if kind is Kind.MODEL else would.id,
        typed=typed,
        back=f"/evaluations/{would.id}" if kind is Kind.EVALUATION else model,
    )
