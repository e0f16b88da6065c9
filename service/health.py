"""The state of the installation, for people and load balancers."""

from __future__ import annotations

import asyncio
from datetime import datetime
from importlib.metadata import version

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from records.models import JobState, Pause
from records.repositories import pauses, workers
from service.deps import SessionDep
from service.problems import responses

router = APIRouter(tags=["operation"])
open_router = APIRouter(tags=["operation"])
QUEUES = ("cpu", "gpu")


class Health(BaseModel):
    """The service answers, and reaches its database."""

    status: str = Field(examples=["ok"])
    version: str


class Alive(BaseModel):
    """The process of the service answers."""

    status: str = Field(examples=["alive"])


class Ready(BaseModel):
    """The service can do its work: it reaches its database and its store."""

    status: str = Field(examples=["ready"])
    workers: dict[str, int] = Field(
        description="Workers of each queue that were seen in the last 30 s.", examples=[{"cpu": 2, "gpu": 1}]
    )
    lacking_walls: list[str] = Field(
        description="Walls around foreign files that a worker's machine lacks.", examples=[[]]
    )


class QueueOut(BaseModel):
    """One queue."""

    name: str = Field(examples=["gpu"])
    waiting: int = Field(description="Jobs that wait for a worker.")
    running: int = Field(description="Jobs that a worker has claimed.")
    workers: int = Field(description="Workers that take this queue and were seen in the last 30 s.")


class WorkerOut(BaseModel):
    """A worker that was seen in the last 30 s."""

    name: str
    queues: list[str]
    device: str
    lacking_walls: dict[str, str] = Field(
        description="Walls around foreign files that its machine lacks, and why.", examples=[{}]
    )
    busy: bool
    draining: bool = Field(description="Whether it claims no more jobs and ends after the one that it does.")
    seen_at: datetime


class PauseOut(BaseModel):
    """A queue or a kind of job of which workers claim nothing."""

    what: str = Field(description="A queue or a kind of job.", examples=["gpu"])
    why: str = Field(examples=["The GPUs get new drivers until noon."])
    by: str = Field(description="Name of the token that paused it.", examples=["ops"])
    since: datetime

    @classmethod
    def of(cls, pause: Pause) -> PauseOut:
        """For a client."""
        return cls(what=pause.what, why=pause.why, by=pause.by, since=pause.created_at)


class Status(BaseModel):
    """The queues and the workers."""

    queues: list[QueueOut]
    workers: list[WorkerOut]
    pauses: list[PauseOut] = Field(description="What an administrator paused, the oldest first.")


@open_router.get("/v1/health", responses=responses(408, 422, 503, 507), summary="Is the service well?")
async def health(request: Request) -> Health:
    """Answer, once the database has answered."""

    def look() -> None:
        with request.app.state.database.session() as session:
            workers.seen(session)  # any query shows that the database answers

    # In a thread of asyncio's own, and without a dependency: the threads of all other requests (anyio's) may
    # be taken, and a load balancer would take a busy service for a dead one.
    await asyncio.to_thread(look)
    return Health(status="ok", version=version("vcpbench"))


@open_router.get("/healthz", responses=responses(408, 422), summary="Is it alive?")
async def alive() -> Alive:
    """Answer at once, and ask no other program: a restart would not bring back a database that is away."""
    return Alive(status="alive")


@open_router.get("/readyz", responses=responses(408, 422, 503, 507), summary="Can it take work?")
async def ready(request: Request) -> Ready:
    """Answer, once the database and the store have answered. Without workers, what is asked for waits.

    Requests that come meanwhile share the answer.
    """
    state = request.app.state

    def look() -> Ready:
        with state.database.session() as session:
            seen = workers.seen(session)
        state.storage.check()
        return Ready(
            status="ready",
            workers={queue: sum(queue in worker.queues for worker in seen) for queue in QUEUES},
            lacking_walls=sorted({wall for worker in seen for wall in worker.lacking_walls}),
        )

    # This route is open, and a store that is away answers late. So at most one thread waits for the store.
    if state.readiness is None or state.readiness.done():
        state.readiness = asyncio.create_task(asyncio.to_thread(look))
    found: Ready = await asyncio.shield(state.readiness)
    return found


@router.get("/status", summary="Show queues and workers")
def status(session: SessionDep) -> Status:
    """Queues and workers. They show why a job waits."""
    seen = workers.seen(session)
    counts = workers.job_counts(session)
    return Status(
        queues=[
            QueueOut(
                name=queue,
                waiting=counts.get((queue, JobState.QUEUED), 0),
                running=counts.get((queue, JobState.RUNNING), 0),
                workers=sum(queue in worker.queues for worker in seen),
            )
            for queue in QUEUES
        ],
        workers=[
            WorkerOut(
                name=worker.name,
                queues=worker.queues,
                device=worker.device,
                lacking_walls=worker.lacking_walls,
                busy=worker.job_id is not None,
                draining=worker.draining_since is not None,
                seen_at=worker.seen_at,
            )
            for worker in seen
        ],
        pauses=[PauseOut.of(pause) for pause in pauses.every(session)],
    )
