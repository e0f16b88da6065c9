"""The queue, the workers and sign-ins as administrators see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool, StringConstraints, WithJsonSchema

from records.models import EvaluationState, JobKind, JobState, Role, SignIn, Worker
from records.repositories.operating import Kind, Listed
from service.auth import Caller
from service.body import Body
from service.forms import NOT_BLANK, Text
from service.health import QUEUES
from service.reasons import text_for
from service.references import FEWEST, IS_ID
from vcp_core.catalog.validation import Whole

WHATS = (*QUEUES, *(kind.value for kind in JobKind))  # what can be paused
PRIORITIES = {"high": 1, "usual": 0, "low": -1}
Priority = Literal["high", "usual", "low"]
LONGEST_WHY = 300  # characters: a sentence or two


class JobOut(BaseModel):
    """A job of a worker."""

    id: UUID
    kind: JobKind
    queue: str = Field(examples=["gpu"])
    state: JobState
    paused: bool = Field(description="Whether an administrator paused its queue or its kind.")
    subject: str = Field(
        description="What it is about, in words.", examples=["vision/r3d-vcp on playground-136"]
    )
    evaluation: UUID | None = Field(description="The evaluation that it is about, if it is about one.")
    checkpoint: UUID | None
    team: str = Field(description="The team that needs it; empty for readers without a team.")
    priority: int
    asked_at: datetime = Field(description="When its evaluation or upload was asked for.")
    age_s: float = Field(description="Seconds since then.")
    attempts: int = Field(description="Attempts that crashed, met a full or absent store, or were lost.")
    not_before: datetime | None = Field(description="When it is tried again, after an attempt that failed.")
    worker: str | None = Field(description="The worker that claimed it last.")
    started_at: datetime | None
    done: int = Field(description="Finished units of its work, such as clips.")
    total: int | None
    finished_at: datetime | None
    error: str | None = Field(description="Why it failed, or why the last attempt did.")
    log_tail: str | None = Field(description="What this attempt printed last.")


class JobPage(BaseModel):
    """Some of the jobs: running ones, then those that wait, then those that ended, the newest first."""

    items: list[JobOut]
    total: int


class OperatedWorkerOut(BaseModel):
    """A worker that was seen lately."""

    id: UUID
    name: str = Field(description="Host and process id.", examples=["gpu-1:4711"])
    queues: list[str]
    device: str
    lacking_walls: dict[str, str] = Field(
        description="Walls around foreign files that its machine lacks, and why.", examples=[{}]
    )
    job: JobOut | None = Field(description="The job that it does now.")
    started_at: datetime = Field(description="When the process began.")
    seen_at: datetime
    draining_since: datetime | None = Field(description="Since when it is to end after its job.")
    drained_by: str | None = Field(description="Name of the token that asked for this.")


class WorkerList(BaseModel):
    """All workers that were seen in the last 30 s."""

    workers: list[OperatedWorkerOut]


class DrainIn(Body):
    """Whether a worker ends after its job."""

    draining: StrictBool = Field(
        description="True: it claims no more jobs and ends after the one that it does. False: it goes on."
    )


AnId = Annotated[Text, WithJsonSchema({"type": "string", **IS_ID})]  # `references.parse_id` reads it


class ThingIn(Body):
    """A job, an evaluation or a checkpoint."""

    id: AnId = Field(
        description=f"The id of a job, an evaluation or a checkpoint, or its first characters ({FEWEST} or "
        "more).",
        examples=["0d9c2c0e"],
    )


class ChangeOut(BaseModel):
    """What a request changed."""

    kind: Kind = Field(description="What the id named.")
    id: UUID
    job: UUID | None = Field(None, description="The job that was queued again or cancelled.")
    evaluations: dict[UUID, EvaluationState] = Field(
        {},
        description="Evaluations that were asked for again, cancelled or failed by this, with their states "
        "now.",
    )
    left_out: dict[UUID, str] = Field(
        {}, description="Failed evaluations that cannot be asked for again, and why."
    )


class PauseIn(Body):
    """Why a queue or a kind is paused."""

    why: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=LONGEST_WHY, pattern=NOT_BLANK),
    ] = Field(description="Everybody who waits reads it.", examples=["The GPUs get new drivers until noon."])


class PriorityIn(Body):
    """The priority of an evaluation."""

    priority: Priority = Field(
        description="high: before all others, as for a gate. low: when nothing else waits."
    )


class PurgeIn(Body):
    """Which ended jobs are removed."""

    days: Annotated[Whole, Field(ge=1, le=36_500)] = Field(
        description="Only what ended at least so many days ago.", examples=[90]
    )
    dry_run: StrictBool = Field(False, description="Only count, and remove nothing.")


class PurgeOut(BaseModel):
    """What was removed, or would be."""

    before: datetime = Field(description="Only what ended before this time.")
    dry_run: bool
    logs: int = Field(description="Logs of jobs and of evaluations.")
    jobs: int = Field(description="Rows of jobs that nothing reads any more.")
    more: bool = Field(description="Whether there is more to remove: send the request again.")


class SignInOut(BaseModel):
    """A session of a person who signed in at the provider."""

    id: UUID
    name: str = Field(description="The person, as the provider names them.", examples=["anna@example.com"])
    team: str
    role: Role
    signed_in_at: datetime
    expires_at: datetime = Field(description="When the session ends. The person must then sign in again.")

    @classmethod
    def of(cls, found: SignIn) -> SignInOut:
        """The session for an administrator."""
        return cls(
            id=found.id,
            name=found.name,
            team=found.team,
            role=found.role,
            signed_in_at=found.created_at,
            expires_at=found.expires_at,
        )


class SignInPage(BaseModel):
    """Some of the sessions, the newest first."""

    items: list[SignInOut]
    total: int


class SignOutIn(Body):
    """Who is to be signed out."""

    person: Text = Field(
        description="The person's name, as `GET /v1/admin/sign-ins` lists it, or the id of a session of the "
        f"person, or its first characters ({FEWEST} or more).",
        examples=["anna@example.com"],
    )


class SignedOutOut(BaseModel):
    """Who was signed out."""

    name: str
    team: str = Field(description="The team of the person. The person may own tokens of it.")
    sessions: int = Field(description="How many sessions this ended.")


def shown(one: Listed, reader: Caller) -> JobOut:
    """The job for an administrator."""
    job = one.job
    return JobOut(
        id=job.id,
        kind=job.kind,
        queue=job.queue,
        state=job.state,
        paused=one.paused,
        subject=_subject(one),
        evaluation=one.evaluation_id,
        checkpoint=one.checkpoint_id,
        team=job.team,
        priority=job.priority,
        asked_at=job.asked_at,
        age_s=float(one.age_s),
        attempts=job.crashes + job.outages + job.losses,
        not_before=job.not_before if job.crashes + job.outages else None,
        worker=one.worker,
        started_at=job.started_at,
        done=job.done,
        total=job.total,
        finished_at=job.finished_at,
        error=text_for(job.error, reader),
        log_tail=job.log_tail,
    )


def _subject(one: Listed) -> str:
    network = one.model or (None if one.checkpoint_id is None else "8 x 8 pixels")
    if one.seed is not None:
        network = f"random weights, seed {one.seed}"
    return " on ".join(name for name in (network, one.dataset) if name)


def worker_out(worker: Worker, job: JobOut | None) -> OperatedWorkerOut:
    """The worker for an administrator."""
    return OperatedWorkerOut(
        id=worker.id,
        name=worker.name,
        queues=worker.queues,
        device=worker.device,
        lacking_walls=worker.lacking_walls,
        job=job,
        started_at=worker.created_at,
        seen_at=worker.seen_at,
        draining_since=worker.draining_since,
        drained_by=worker.drained_by,
    )
