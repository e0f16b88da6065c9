"""`/v1/admin/...`: the hands of operators. All routes need an administrator's token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request

from records.models import JobKind, JobState
from records.repositories import operating
from records.settings import Queue
from service import auditing
from service.admin import queues, service, sign_ins
from service.admin.schemas import (
    WHATS,
    ChangeOut,
    DrainIn,
    JobPage,
    OperatedWorkerOut,
    PauseIn,
    PriorityIn,
    PurgeIn,
    PurgeOut,
    SignedOutOut,
    SignInPage,
    SignOutIn,
    ThingIn,
    WorkerList,
    shown,
)
from service.auth import Admin
from service.deps import DatabaseDep, Limit, Offset, Router, SessionDep
from service.evaluations import service as evaluations
from service.evaluations.schemas import EvaluationOut
from service.health import PauseOut
from service.problems import WITH_BODY, responses
from service.references import EvaluationNamed

router = Router(prefix="/admin", tags=["operation"])
What = Annotated[
    str,
    Path(
        description="A queue, or a kind of job.",
        json_schema_extra={"enum": list(WHATS)},
        examples=["gpu"],
    ),
]


@router.get("/queue", responses=responses(403), summary="List jobs")
def page(
    caller: Admin,
    session: SessionDep,
    state: Annotated[
        list[JobState] | None,
        Query(description="Only in these states, one parameter each; running and queued if left out."),
    ] = None,
    queue: Annotated[Queue | None, Query(description="Only of this queue.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only of this kind.")] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> JobPage:
    """Jobs that wait and run. `state=failed` finds those that failed, the newest first."""
    found, total = operating.page(
        session, states=state or operating.LIVE, queue=queue, kind=kind, team=team, limit=limit, offset=offset
    )
    return JobPage(items=[shown(one, caller) for one in found], total=total)


@router.get("/workers", responses=responses(403), summary="List workers with their jobs")
def workers(caller: Admin, session: SessionDep) -> WorkerList:
    """Workers that were seen in the last 30 s, and what each of them does."""
    return WorkerList(workers=queues.everyone(session, caller))


@router.patch("/workers/{worker}", responses=responses(*WITH_BODY, 403, 404, 409), summary="Drain a worker")
def drain(
    worker: Annotated[str, Path(description="Its name, or the first characters of its id.")],
    body: DrainIn,
    caller: Admin,
    session: SessionDep,
) -> OperatedWorkerOut:
    """Let a worker finish its job, claim no more, and end. Until it has ended, this can be undone.

    Whatever supervises the process may start another one.
    """
    return queues.drain(session, worker, caller, draining=body.draining)


@router.post("/requeue", responses=responses(*WITH_BODY, 403, 404, 409), summary="Do something again")
def requeue(body: ThingIn, caller: Admin, session: SessionDep) -> ChangeOut:
    """Do a job or an evaluation that failed or was cancelled again, with fresh attempts.

    The evaluations that failed for want of a job are asked for again. A job that waits after failed attempts
    is tried at once.
    """
    return service.requeue(session, body.id, caller)


@router.post("/cancel", responses=responses(*WITH_BODY, 403, 404, 409), summary="Cancel something")
def cancel(body: ThingIn, caller: Admin, session: SessionDep) -> ChangeOut:
    """Cancel a job, an evaluation, or all work for a checkpoint. `POST /v1/admin/requeue` does it again.

    What needs a cancelled job fails, with this reason.
    """
    return service.cancel(session, body.id, caller)


@router.put(
    "/evaluations/{evaluation_id:named}/priority",
    responses=responses(*WITH_BODY, 403, 404, 409),
    summary="Set the priority of an evaluation",
)
def prioritise(
    evaluation_id: EvaluationNamed, body: PriorityIn, caller: Admin, session: SessionDep
) -> EvaluationOut:
    """Let workers take the jobs of an evaluation earlier or later than others."""
    found = service.prioritise(session, evaluation_id, body.priority, caller)
    return evaluations.detail(session, found, caller)


@router.put("/pauses/{what}", responses=responses(*WITH_BODY, 403, 404), summary="Pause a queue or a kind")
def pause(what: What, body: PauseIn, caller: Admin, session: SessionDep) -> PauseOut:
    """Let workers claim no job of a queue or a kind. Jobs that run go on, and requests are accepted."""
    return PauseOut.of(queues.pause(session, what, body.why, caller))


@router.delete("/pauses/{what}", responses=responses(403, 404), summary="Resume a queue or a kind")
def resume(what: What, caller: Admin, session: SessionDep) -> PauseOut:
    """Let workers claim again. The answer is the pause that was."""
    return PauseOut.of(queues.resume(session, what, caller))


@router.post("/purge", responses=responses(*WITH_BODY, 403), summary="Purge jobs that ended")
def purge(request: Request, body: PurgeIn, caller: Admin, database: DatabaseDep) -> PurgeOut:
    """Remove logs, and rows of jobs that nothing reads any more. This cannot be undone: see `dry_run`.

    Results, features and checkpoints stay.
    """
    return service.purge(
        database, body, caller, note=lambda session: auditing.note(request, session, {"body": body})
    )


@router.get("/sign-ins", responses=responses(403), summary="List who is signed in")
def signed_in(
    request: Request,
    caller: Admin,
    session: SessionDep,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> SignInPage:
    """Sessions of people who signed in at the provider, of all teams, the newest first."""
    return sign_ins.page(session, request.app.state.provider, team, limit=limit, offset=offset)


@router.post("/sign-out", responses=responses(*WITH_BODY, 403, 404, 409), summary="Sign a person out")
def sign_out(request: Request, body: SignOutIn, caller: Admin, session: SessionDep) -> SignedOutOut:
    """End all sessions of a person. They open nothing from the next request on.

    An open stream of events ends within 15 minutes. The person can sign in again as long as the provider
    names a group that is a team here. Tokens that the person owns stay valid.
    """
    return sign_ins.end(session, request.app.state.provider, body.person, caller)
