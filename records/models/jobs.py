"""Jobs and the workers that do them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified
from records.models.columns import words
from vcp_core.catalog.errors import VcpbenchError


class JobKind(StrEnum):
    """The kinds of job. Each has a function in worker/tasks/."""

    INGEST = "ingest"
    CALIBRATE = "calibrate"
    INDEX = "index"
    PLAN = "plan"
    EXTRACT = "extract"
    FIT = "fit"
    SCORE = "score"
    COMPARE = "compare"
    MEDIA = "media"
    MAP = "map"

    @property
    def queue(self) -> str:
        """Networks run on the "gpu" queue (whatever the device is), the rest on "cpu"."""
        return "gpu" if self in (JobKind.CALIBRATE, JobKind.EXTRACT) else "cpu"


class JobState(StrEnum):
    """The states: queued <-> running -> done or failed. A queued or running job may be cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Identified, Base):
    """One thing for a worker to do.

    Attributes:
        kind: What the worker does.
        queue: Workers of this queue may claim the job.
        team: The team that needs the job; empty for readers without a team.
        checkpoint_id: Subject of ingest and calibrate.
        dataset_id: Subject of index.
        evaluation_id: Subject of plan, fit and score.
        shard_id: Subject of extract.
        comparison_id: Subject of compare.
        media_id: Subject of media.
        map_id: Subject of map.
        number: Index of a fit's parts in `Evaluation.fits`; 0 for other kinds.
        priority: 0; more for a job that a gate waits for, less for a job that can wait. Workers take jobs of
            higher priority first.
        asked_at: When the evaluation or the upload that the job belongs to was asked for. Workers finish
            first what was asked for first.
        state: See `JobState`.
        not_before: Earliest time of the next attempt; null until an attempt crashed or was given back.
        token: Drawn at every claim. A write that names an older token matches no row.
        worker_id: The worker that claimed the job.
        lease_until: When the claim ends, unless the worker renews it.
        crashes: Attempts that ended by an error of the job itself.
        outages: Attempts that a full or absent store ended.
        losses: Attempts whose worker stopped renewing the lease.
        done: Finished units (clips, videos, fits) of the attempt that got farthest.
        total: Number of units, once known.
        error: Why it failed, or why the last attempt did.
        log_tail: The last lines that this attempt printed.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(checkpoint_id, dataset_id, evaluation_id, shard_id, comparison_id, media_id, "
            "map_id) = 1",
            name="subject",
        ),
        Index("uq_job_checkpoint", "checkpoint_id", "kind", unique=True),
        Index("uq_job_dataset", "dataset_id", "kind", unique=True),
        Index("uq_job_evaluation", "evaluation_id", "kind", "number", unique=True),
        Index("uq_job_shard", "shard_id", unique=True),
        Index("uq_job_comparison", "comparison_id", unique=True),
        Index("uq_job_media", "media_id", unique=True),
        Index("uq_job_map", "map_id", unique=True),
        Index(
            "ix_job_line",
            "queue",
            "team",
            "priority",
            "asked_at",
            "created_at",
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_job_turn", "queue", "team", "started_at"),
        Index("ix_job_running", "lease_until", postgresql_where=text("state = 'running'")),
    )

    kind: Mapped[JobKind] = mapped_column(words(JobKind, "kind"))
    queue: Mapped[str]
    team: Mapped[str]
    checkpoint_id: Mapped[UUID | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    dataset_id: Mapped[UUID | None] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"))
    evaluation_id: Mapped[UUID | None] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"))
    shard_id: Mapped[UUID | None] = mapped_column(ForeignKey("shard.id", ondelete="CASCADE"))
    comparison_id: Mapped[UUID | None] = mapped_column(ForeignKey("comparison.id", ondelete="CASCADE"))
    media_id: Mapped[UUID | None] = mapped_column(ForeignKey("media.id", ondelete="CASCADE"))
    map_id: Mapped[UUID | None] = mapped_column(ForeignKey("map.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    priority: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    state: Mapped[JobState] = mapped_column(words(JobState, "state"))
    not_before: Mapped[datetime | None]
    token: Mapped[UUID | None]
    worker_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    crashes: Mapped[int] = mapped_column(default=0)
    outages: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    error: Mapped[VcpbenchError | None]
    log_tail: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Worker(Identified, Base):
    """A worker process that has been seen.

    Attributes:
        name: Host and process id.
        queues: The queues that it takes jobs from.
        device: Name of the device that networks run on.
        versions: Versions of the packages that affect the digits of a score.
        lacking_walls: Walls around foreign files that its machine lacks, with the reason of each.
        job_id: The job that it is doing.
        seen_at: When it last reported.
        draining_since: Since when it is to end after its job; None if it goes on.
        drained_by: Name of the token that asked for this.
    """

    __tablename__ = "worker"

    name: Mapped[str]
    queues: Mapped[list[Any]]
    device: Mapped[str]
    lacking_walls: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    job_id: Mapped[UUID | None]
    seen_at: Mapped[datetime]
    draining_since: Mapped[datetime | None]
    drained_by: Mapped[str | None]
