"""The page of administrators: the queue, the workers, who is signed in, and forms of operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session

from records.models import JobKind, JobState
from records.repositories import operating
from service import health
from service.admin import queues, service, sign_ins
from service.admin.schemas import WHATS, JobOut, OperatedWorkerOut, PauseIn, SignOutIn, shown
from service.auth import Admin, Caller, admin
from service.deps import Router, SessionDep, SettingsDep
from service.quotas import service as quotas
from service.quotas.schemas import QuotaIn, TeamIn
from service.web.pages import render
from service.web.session import Form
from service.web.writing import PRIVATE, Sender, back, checked

router = Router(include_in_schema=False)
_NUMBER = re.compile("[0-9]{1,20}")
LIST = 50  # jobs of a page, and sign-ins
HERE = "/admin"


class Show(StrEnum):
    """Which jobs the page lists."""

    LIVE = "live"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def states(self) -> Sequence[JobState]:
        """The states of these jobs."""
        return operating.LIVE if self is Show.LIVE else (JobState(self.value),)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The parameters of the page's address."""

    show: Show = Show.LIVE
    kind: JobKind | None = None
    team: str | None = None
    offset: int = 0

    def address(self, path: str = HERE, **changes: Any) -> str:
        """The address of the page with these changes."""
        given = {"show": self.show, "kind": self.kind, "team": self.team, "offset": self.offset} | changes
        said = {name: str(value) for name, value in given.items() if value and value is not Show.LIVE}
        return f"{path}?{urlencode(said)}" if said else path


@dataclass(frozen=True, kw_only=True)
class Page:
    """The part of the page that changes.

    Attributes:
        status: The queues, and what is paused.
        workers: Workers with their jobs.
        jobs: Some of the jobs.
        total: How many jobs there are.
        wanted: The parameters of the address.
    """

    status: health.Status
    workers: Sequence[OperatedWorkerOut]
    jobs: Sequence[JobOut]
    total: int
    wanted: Wanted


def _wanted(
    show: Show = Show.LIVE,
    kind: JobKind | Literal[""] = "",
    team: str = "",
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Wanted:
    return Wanted(show=show, kind=kind or None, team=team.strip() or None, offset=offset)


WantedDep = Annotated[Wanted, Depends(_wanted)]


@router.get("/admin")
def show_operation(
    request: Request, caller: Admin, session: SessionDep, settings: SettingsDep, wanted: WantedDep
) -> Response:
    """The queue, the workers, what is paused, who is signed in, and the quota of the wanted team."""
    page = _page(session, wanted, caller)
    quota = quotas.of_team(session, wanted.team, settings) if wanted.team else None
    return render(
        request,
        "admin.html",
        page=page,
        quota=quota,
        people=sign_ins.page(session, request.app.state.provider, wanted.team, limit=LIST),
        kinds=list(JobKind),
        shows=list(Show),
        whats=WHATS,
        limit=LIST,
    )


@router.get("/admin/live")
def show_live(request: Request, caller: Admin, session: SessionDep, wanted: WantedDep) -> Response:
    """The part of the page that changes."""
    return render(
        request, "_admin_live.html", headers=PRIVATE, page=_page(session, wanted, caller), limit=LIST
    )


def _page(session: Session, wanted: Wanted, caller: Caller) -> Page:
    found, total = operating.page(
        session,
        states=wanted.show.states,
        kind=wanted.kind,
        team=wanted.team,
        limit=LIST,
        offset=wanted.offset,
    )
    return Page(
        status=health.status(session),
        workers=queues.everyone(session, caller),
        jobs=[shown(one, caller) for one in found],
        total=total,
        wanted=wanted,
    )


def _operator(sender: Sender) -> Caller:
    """The sender of a form, who must be an administrator."""
    return admin(sender)


Operator = Annotated[Caller, Depends(_operator)]


@router.post("/forms/admin/pause")
def pause(request: Request, form: Form, sender: Operator, session: SessionDep) -> Response:
    """Pause a queue or a kind of job, or resume the one that is named."""
    what = form.get("what", "")
    if "resume" in form:
        queues.resume(session, what, sender)
    else:
        why = checked(request, PauseIn, why=form.get("why", "")).why
        queues.pause(session, what, why, sender)
    return back(form.get("next", HERE))


@router.post("/forms/admin/drain")
def drain(form: Form, sender: Operator, session: SessionDep) -> Response:
    """Let a worker end after its job, or go on after all."""
    queues.drain(session, form.get("worker", ""), sender, draining="undo" not in form)
    return back(form.get("next", HERE))


@router.post("/forms/admin/job")
def change_job(form: Form, sender: Operator, session: SessionDep) -> Response:
    """Cancel a job, or do it again."""
    change: Callable[..., Any] = service.cancel if "cancel" in form else service.requeue
    change(session, form.get("job", ""), sender)
    return back(form.get("next", HERE))


@router.post("/forms/admin/quota")
def set_quota(request: Request, form: Form, sender: Operator, session: SessionDep) -> Response:
    """Give a team these limits; an empty field means the installation's."""
    given = {name: form.get(name, "").strip() for name in QuotaIn.model_fields}
    limits = {name: int(text) if _NUMBER.fullmatch(text) else text or None for name, text in given.items()}
    team = checked(request, TeamIn, team=form.get("team", "")).team
    quotas.set_limits(session, team, checked(request, QuotaIn, **limits), sender)
    return back(form.get("next", HERE))


@router.post("/forms/admin/sign-out")
def sign_out(request: Request, form: Form, sender: Operator, session: SessionDep) -> Response:
    """End all sessions of the person whose session it is."""
    person = checked(request, SignOutIn, person=form.get("person", "")).person
    sign_ins.end(session, request.app.state.provider, person, sender)
    return back(form.get("next", HERE))
