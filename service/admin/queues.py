"""Pause queues and kinds of job, and drain workers."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.orm import Session

from records.models import JobKind, Pause, Worker
from records.repositories import jobs, operating, pauses, queue, workers
from service.admin.schemas import WHATS, OperatedWorkerOut, shown, worker_out
from service.auth import Caller
from service.health import QUEUES
from service.problems import NotFound
from service.references import FEWEST, MOST_TOLD, ambiguous
from vcp_core.catalog.errors import UnknownName

log = structlog.get_logger("vcpbench.service")


def pause(session: Session, what: str, why: str, caller: Caller) -> Pause:
    """Let workers claim nothing of a queue or a kind. What runs goes on, and requests are accepted.

    Raises:
        UnknownName: If there is no such queue or kind.
    """
    _check(what)
    pauses.lock(session)
    found = pauses.pause(session, what, why=why, by=caller.name)
    log.warning("paused", what=what, why=why, by=caller.name)
    return found


def resume(session: Session, what: str, caller: Caller) -> Pause:
    """Let workers claim again, and return the pause that was.

    Raises:
        UnknownName: If there is no such queue or kind.
        NotFound: If it is not paused.
    """
    _check(what)
    found = pauses.resume(session, what)
    if found is None:
        raise NotFound(f"{what!r} is not paused. GET /v1/status lists what is.")
    jobs.wake_up_after_commit(session, what if what in QUEUES else JobKind(what).queue)
    log.warning("resumed", what=what, by=caller.name)
    return found


def _check(what: str) -> None:
    if what not in WHATS:
        raise UnknownName("queue or kind of job", what, WHATS)


def everyone(session: Session, caller: Caller) -> list[OperatedWorkerOut]:
    """The workers that were seen lately, each with its job."""
    return _shown(session, workers.seen(session), caller)


def drain(session: Session, wanted: str, caller: Caller, *, draining: bool) -> OperatedWorkerOut:
    """Let a worker end after its job, or let it go on after all.

    Raises:
        NotFound: If no worker has this name or id, or it has ended.
        Ambiguous: If several do.
    """
    found = _find(session, wanted)
    pauses.lock(session)
    changed = workers.drain(session, found.id, caller.name if draining else None)
    if changed is None:
        raise NotFound(f"Worker {found.name} ended meanwhile.")
    log.warning("worker drains" if draining else "worker goes on", worker=found.name, by=caller.name)
    (out,) = _shown(session, [changed], caller)
    return out


def _find(session: Session, wanted: str) -> Worker:
    """The worker of this name, or whose id begins so."""
    seen = workers.seen(session)
    begins = wanted.lower() if len(wanted) >= FEWEST else None
    found = [one for one in seen if one.name == wanted or (begins and str(one.id).startswith(begins))]
    if not found:
        names = ", ".join(one.name for one in seen[:MOST_TOLD]) or "none"
        raise NotFound(f"No worker {wanted!r} was seen in the last 30 s. Workers that were: {names}.")
    if len(found) > 1:
        raise ambiguous("worker", wanted, [(one.id, one.name) for one in found])
    return found[0]


def _shown(session: Session, found: Sequence[Worker], caller: Caller) -> list[OperatedWorkerOut]:
    listed = operating.listed(session, [one.id for one in queue.in_work(session, found)])
    jobs_of = {one.job.worker_id: shown(one, caller) for one in listed}
    return [worker_out(one, jobs_of.get(one.id)) for one in found]
