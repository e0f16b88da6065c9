"""Evaluations, the shards they need, and their scores."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.checkpoints import Checkpoint
from records.models.columns import words
from records.models.datasets import DatasetRow, ProtocolRow
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.readings import version_of
from vcp_core.catalog.versions import engine


class EvaluationState(StrEnum):
    """The states: waiting (for checkpoint or dataset) -> planning -> running -> scoring -> done.

    In each of the first four states, an evaluation may instead become failed or cancelled.
    """

    WAITING = "waiting"
    PLANNING = "planning"
    RUNNING = "running"
    SCORING = "scoring"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in (EvaluationState.DONE, EvaluationState.FAILED, EvaluationState.CANCELLED)


ENDED = tuple(state for state in EvaluationState if state.ended)

evaluation_shards = Table(
    "evaluation_shard",
    Base.metadata,
    Column("evaluation_id", ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True),
    Column("shard_id", ForeignKey("shard.id"), primary_key=True, index=True),
)
evaluation_controls = Table(
    "evaluation_control",
    Base.metadata,
    Column("evaluation_id", ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True),
    Column("control_id", ForeignKey("evaluation.id"), primary_key=True, index=True),
)


class Evaluation(Identified, Base):
    """One checkpoint on one dataset under one protocol.

    A failed or cancelled evaluation never changes again. A new request makes a new row, which reuses the
    features of the old one.

    Attributes:
        checkpoint_id: The evaluated weights.
        dataset_id: The videos.
        protocol_hash: The protocol, which never changes.
        engine: Version of everything that makes its scores, and the benchmarks that run
            (`vcp_core.catalog.versions`); empty if the version is unknown.
        scheme_version: Version of the checkpoint's key scheme when it was planned
            (`vcp_core.catalog.keys`). The checkpoint holds the scheme and the variant.
        asked_at: When somebody asked for it. A control was asked for with the evaluation that first needed
            it.
        priority: Priority of its jobs; see `Job`.
        team: The team that asked. Workers take turns between teams.
        is_control: Whether it measures random weights, or pixels, for other evaluations.
        state: See `EvaluationState`.
        reason: Why it failed, or why the service cancelled it.
        log_tail: The last lines that the failing job printed.
        num_clips: Number of distinct clips, once planned.
        unavailable: Benchmarks that cannot run, with the reason, once planned.
        fits: The parts that each fit job does, once planned: `[{"parts": [name, ...], "units": 8}, ...]`.
            The score job does the parts that are in no list.
        scoring_units: Units of work of all its fit jobs and its score job, once planned.
        leaves_jobs: Whether it was cancelled or failed and jobs that only it needed still wait; see
            `flow.end_left_jobs`.
        results: `vcp_core.Results` without the predictions, once done.
        started_at: When planning began.
        finished_at: When it became done, failed or cancelled.
        told_at: When watchers were last told to look at its progress.
    """

    __tablename__ = "evaluation"
    __table_args__ = (
        Index(
            "uq_evaluation_live",
            "checkpoint_id",
            "dataset_id",
            "protocol_hash",
            "engine",
            "scheme_version",
            unique=True,
            postgresql_where=text("state NOT IN ('failed', 'cancelled')"),
        ),
        Index(  # boards are counted from it alone
            "ix_evaluation_board",
            "dataset_id",
            "protocol_hash",
            "engine",
            "state",
            "is_control",
            "finished_at",
            postgresql_include=["checkpoint_id"],
        ),
        Index("ix_evaluation_created_at", "created_at"),
        Index("ix_evaluation_leaves_jobs", "id", postgresql_where=text("leaves_jobs")),
    )

    checkpoint_id: Mapped[UUID] = mapped_column(ForeignKey("checkpoint.id"), index=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id"))
    protocol_hash: Mapped[str] = mapped_column(ForeignKey("protocol.hash"))
    engine: Mapped[str] = mapped_column(default=engine)
    scheme_version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    priority: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    team: Mapped[str]
    is_control: Mapped[bool]
    state: Mapped[EvaluationState] = mapped_column(words(EvaluationState, "state"))
    reason: Mapped[VcpbenchError | None]
    log_tail: Mapped[str | None]
    num_clips: Mapped[int | None]
    unavailable: Mapped[dict[str, Any] | None]
    fits: Mapped[list[Any] | None]
    scoring_units: Mapped[int | None]
    leaves_jobs: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    results: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]

    checkpoint: Mapped[Checkpoint] = relationship(lazy="joined")
    dataset: Mapped[DatasetRow] = relationship(lazy="joined")
    protocol: Mapped[ProtocolRow] = relationship(lazy="joined")

    @property
    def older(self) -> bool:
        """Whether it belongs to another version, so that it shares no leaderboard with new evaluations."""
        return self.engine != engine()

    @property
    def outdated(self) -> bool:
        """Whether the facts of the checkpoint's key scheme have changed since."""
        return self.scheme_version != version_of(self.checkpoint.backbone, self.checkpoint.scheme)

    shards: Mapped[list[Shard]] = relationship(secondary=evaluation_shards)
    controls: Mapped[list[Evaluation]] = relationship(
        secondary=evaluation_controls,
        primaryjoin="Evaluation.id == evaluation_control.c.evaluation_id",
        secondaryjoin="Evaluation.id == evaluation_control.c.control_id",
    )


class Shard(Identified, Base):
    """Distinct clips that are forwarded once, for every evaluation that needs them.

    Attributes:
        space: Hash of everything but the clips that determines a feature (weights, precision, versions).
        checkpoint_id: The checkpoint whose weights are used.
        dataset_id: The dataset whose files are read.
        number: Position within the plan that made it.
        clips: `[[video id, SHA-256 of the file, [[start, option, variant], ...]], ...]`.
        num_clips: Number of clips.
        key: The object of the features.
        sha256: SHA-256 of this object; None before it is stored, or if it was stored without a hash.
        size_bytes: Size of this object; None before it is stored, or until a sweep noted it.
        used_at: When an evaluation or a map last used the features.
        swept_at: When retention deleted the features (`records.retention`); None if they are kept. The row
            then names no object.
        device: Name of the device that forwarded the clips.
        counts: Frames decoded, clips forwarded, seconds; clips of a batch, threads of a CPU.
    """

    __tablename__ = "shard"
    __table_args__ = (Index("ix_shard_used_at", "used_at", postgresql_where=text("swept_at IS NULL")),)

    space: Mapped[str] = mapped_column(index=True)
    checkpoint_id: Mapped[UUID] = mapped_column(ForeignKey("checkpoint.id"), index=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id"), index=True)
    number: Mapped[int]
    clips: Mapped[list[Any]] = mapped_column(deferred=True)
    num_clips: Mapped[int]
    key: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    used_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    swept_at: Mapped[datetime | None]
    device: Mapped[str | None]
    counts: Mapped[dict[str, Any] | None]


class ScoreRow(Base):
    """One number of a finished evaluation; a column for each field of `vcp_core.catalog.scores.Score`."""

    __tablename__ = "score"
    # The index holds every column that ranks need, so PostgreSQL reads thousands of scores from it alone.
    __table_args__ = (
        Index(
            "ix_score_scale",
            "metric",
            "value",
            postgresql_include=["evaluation_id", "low", "high", "better"],
        ),
    )

    evaluation_id: Mapped[UUID] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True
    )
    metric: Mapped[str] = mapped_column(primary_key=True)
    benchmark: Mapped[str]
    value: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    unit: Mapped[str] = mapped_column(default="percent", server_default="percent")
    better: Mapped[str] = mapped_column(default="higher", server_default="higher")
    num_videos: Mapped[int]
    num_units: Mapped[int]
    units: Mapped[str]
    chance: Mapped[float | None]
    control: Mapped[float | None]
    lift: Mapped[float | None]
    lift_low: Mapped[float | None]
    lift_high: Mapped[float | None]
    pixels: Mapped[float | None]
    above_pixels_low: Mapped[float | None]
    above_pixels_high: Mapped[float | None]
    headline: Mapped[bool]


class BenchmarkRow(Base):
    """Per-video outcomes of one benchmark of an evaluation (`vcp_core.results.types.Predictions`)."""

    __tablename__ = "benchmark_result"

    evaluation_id: Mapped[UUID] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True
    )
    benchmark: Mapped[str] = mapped_column(primary_key=True)
    predictions: Mapped[dict[str, Any]]


class PartRow(Base):
    """What a fit job found for one part of a benchmark. It is deleted when the evaluation ends.

    Attributes:
        evaluation_id: The evaluation.
        part: Name of the part (`vcp_core.benchmarks.parts.Part`).
        predictions: `vcp_core.results.types.Predictions`, as far as this part goes.
        machine: Facts about the worker that decide the last digits (`Provenance.machine`).
    """

    __tablename__ = "part_result"

    evaluation_id: Mapped[UUID] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True
    )
    part: Mapped[str] = mapped_column(primary_key=True)
    predictions: Mapped[dict[str, Any]]
    machine: Mapped[dict[str, Any]]
