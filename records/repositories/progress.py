"""Estimate from rows alone how far an evaluation is and how long the rest takes, by the database's clock.

The work is everything that was missing when the evaluation was asked for. Features and controls that existed
then do not count. A job that was under way counts completely, so the first fraction may be above 0. The
fraction never falls, because each of its parts only grows or only shrinks:

- Before the plan is made, reading, indexing and planning have fixed shares (`SHARES`), of which only those
  count that this evaluation has to wait for.
- The plan gives the rest its size in clips: clips to forward, clips that calibrate controls, and a scoring
  (fit jobs and the score job) for the evaluation and each control. A control that is not planned yet counts
  with as many clips as the evaluation has. Its own plan may find fewer missing, never more.
- `Job.done` is that of the attempt that came farthest, so a second attempt takes nothing back.
- An evaluation that failed or was cancelled keeps its share: its rows stay as they are.

docs/decisions/2026-11-28-progress.md has the measurements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, case, func, not_, or_, select
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Evaluation, EvaluationState, Job, JobKind, JobState, Shard, evaluation_shards
from records.repositories.jobs import tried_before

SHARES = {  # shares of an evaluation's time that pass before its clips are forwarded
    JobKind.INGEST: 0.04,
    JobKind.CALIBRATE: 0.04,  # a control waits for it as an upload waits for its ingest
    JobKind.INDEX: 0.30,
    JobKind.PLAN: 0.01,
}
SCORING = 0.25  # time of scoring, relative to forwarding the same clips on a CPU
SCORING_S, SCORING_CLIP_S = 4.0, 0.005  # time of scoring in seconds: fixed, and for each clip
PACE_S, PACE_SHARE = 10.0, 0.25  # estimate no pace earlier: the first clips wait for a process to start
MOST = 0.999  # largest fraction of an evaluation that is not done
# A retried job has the clock of the second attempt and `done` of the first, so it gives no pace.
RETRYING = and_(Job.state == JobState.RUNNING, tried_before())


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an evaluation is, its controls included.

    Attributes:
        fraction: Share of all its work; 1 only once the evaluation is done.
        clips_done: Forwarded clips of the jobs that had not ended when the evaluation was asked for.
        clips_total: All clips of these jobs, as far as known.
        scoring_done: Units (fits, rankings, intervals) of its own scoring.
        scoring_total: Units in all, once its scoring has begun.
        remaining_s: Estimate at the pace so far; None without a pace, and while a job is retried.
    """

    fraction: float = 0.0
    clips_done: int = 0
    clips_total: int = 0
    scoring_done: int = 0
    scoring_total: int | None = None
    remaining_s: float | None = None


class _Clips(NamedTuple):
    """Clips of one evaluation that were to be forwarded since the request."""

    total: int = 0
    done: int = 0
    begun_at: datetime | None = None
    retrying: bool = False


class _Single(NamedTuple):
    """A job that is not about a shard."""

    kind: JobKind
    subject_id: UUID
    state: JobState
    done: int
    total: int | None
    started_at: datetime | None
    finished_at: datetime | None
    retrying: bool
    now: datetime

    @property
    def share(self) -> float:
        """How much of it is done."""
        if self.state is JobState.DONE:
            return 1.0
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def elapsed_s(self) -> float:
        """How long its last attempt took, or has taken so far."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or self.now) - self.started_at).total_seconds()

    def was_there(self, asked_at: datetime) -> bool:
        """Whether it had been done before the request."""
        return self.state is JobState.DONE and self.finished_at is not None and self.finished_at <= asked_at


class _Scoring(NamedTuple):
    """The jobs after the features of one evaluation: those that fit, and the one that scores."""

    jobs: tuple[_Single, ...]
    is_done: bool
    units: int | None

    @classmethod
    def of(cls, one: Evaluation, jobs: Iterable[_Single]) -> _Scoring:
        """Pick them from the jobs that are about an evaluation or a control."""
        own = tuple(job for job in jobs if job.kind in (JobKind.FIT, JobKind.SCORE))
        scored = any(job.kind is JobKind.SCORE and job.state is JobState.DONE for job in own)
        return cls(own, scored or one.state is EvaluationState.DONE, one.scoring_units)

    @property
    def total(self) -> int | None:
        """Units of all its jobs, once it has begun."""
        if self.units is not None:
            return self.units if self.jobs else None
        # An older version planned no units. Then there is only the score job, which says how many it has. If
        # there are fit jobs, the evaluation's row was read before it was planned: the next look knows more.
        return self.jobs[0].total if [job.kind for job in self.jobs] == [JobKind.SCORE] else None

    @property
    def done(self) -> int:
        """How many of them are done."""
        done = sum((job.total or 0) if job.state is JobState.DONE else job.done for job in self.jobs)
        return min(done, self.total or 0)

    @property
    def share(self) -> float:
        """How much of it is done."""
        if self.is_done:
            return 1.0
        return self.done / self.total if self.total else 0.0

    @property
    def elapsed_s(self) -> float:
        """How long it took, or has taken so far, from its first start: several workers may share it."""
        ends = [job.finished_at or job.now for job in self.jobs]
        begun = [job.started_at for job in self.jobs if job.started_at is not None]
        return (max(ends) - min(begun)).total_seconds() if begun else 0.0

    def left_s(self, usual_s: float) -> float:
        """How long the rest takes at the pace so far; before there is a pace, of `usual_s`."""
        if self.is_done:
            return 0.0
        if all(job.state is not JobState.RUNNING for job in self.jobs):
            return usual_s * (1 - self.share)
        if self.share:
            return self.elapsed_s / self.share * (1 - self.share)
        return max(0.0, usual_s - self.elapsed_s)


def progress(session: Session, evaluation: Evaluation) -> Progress:
    """How far an evaluation is now."""
    controls = evaluation.controls
    clips = _clips(session, evaluation, controls)
    clips_done = sum(one.done for one in clips.values())
    clips_total = sum(one.total for one in clips.values())
    found = _singles(session, evaluation, controls)
    # Of the fit jobs of an evaluation, only one is in `jobs`. `scorings` has all of them.
    jobs = {(job.kind, job.subject_id): job for job in found}
    of_each: defaultdict[UUID, list[_Single]] = defaultdict(list)
    for job in found:
        of_each[job.subject_id].append(job)
    scorings = {one.id: _Scoring.of(one, of_each[one.id]) for one in (evaluation, *controls)}
    scoring = scorings[evaluation.id]
    if evaluation.state is EvaluationState.DONE:
        return Progress(
            fraction=1.0,
            clips_done=clips_done,
            clips_total=clips_total,
            scoring_done=scoring.total or 0,
            scoring_total=scoring.total,
        )
    waited_for = _waited_for(evaluation, jobs)
    work = None if evaluation.num_clips is None else _Work.of(evaluation, controls, clips, jobs, scorings)
    if work is None:
        fraction = sum(SHARES[kind] * (job.share if job else 0.0) for kind, job in waited_for.items())
    else:
        before = sum(SHARES[kind] for kind in waited_for)
        fraction = before + (1 - before) * work.share
    return Progress(
        fraction=min(round(fraction, 4), MOST),
        clips_done=clips_done,
        clips_total=clips_total + (work.unplanned_clips if work else 0),
        scoring_done=scoring.done,
        scoring_total=scoring.total,
        remaining_s=work.remaining_s() if work and not evaluation.state.ended else None,
    )


def _clips(session: Session, evaluation: Evaluation, controls: Iterable[Evaluation]) -> Mapping[UUID, _Clips]:
    """Clips to forward since the request, by evaluation; shards that were done before it are left out."""
    was_there = and_(Job.state == JobState.DONE, Job.finished_at <= evaluation.created_at)
    done = case((Job.state == JobState.DONE, Shard.num_clips), else_=func.least(Job.done, Shard.num_clips))
    rows = session.execute(
        select(
            evaluation_shards.c.evaluation_id,
            func.sum(Shard.num_clips),
            func.sum(done),
            func.min(Job.started_at),
            func.bool_or(RETRYING),
        )
        .join(Shard, Shard.id == evaluation_shards.c.shard_id)
        .join(Job, Job.shard_id == Shard.id)
        .where(
            evaluation_shards.c.evaluation_id.in_([evaluation.id, *(one.id for one in controls)]),
            not_(func.coalesce(was_there, False)),
        )
        .group_by(evaluation_shards.c.evaluation_id)
    )
    return {evaluation_id: _Clips(*numbers) for evaluation_id, *numbers in rows}


def _singles(session: Session, evaluation: Evaluation, controls: Iterable[Evaluation]) -> list[_Single]:
    """All other jobs of an evaluation and its controls."""
    everyone = [evaluation, *controls]
    subject = func.coalesce(Job.evaluation_id, Job.checkpoint_id, Job.dataset_id)
    rows = session.execute(
        select(
            Job.kind,
            subject,
            Job.state,
            Job.done,
            Job.total,
            Job.started_at,
            Job.finished_at,
            RETRYING,
            NOW,
        ).where(
            or_(
                Job.evaluation_id.in_([one.id for one in everyone]),
                Job.checkpoint_id.in_([one.checkpoint_id for one in everyone]),
                Job.dataset_id == evaluation.dataset_id,
            )
        )
    )
    return [_Single(*row) for row in rows]


def _waited_for(
    evaluation: Evaluation, jobs: Mapping[tuple[JobKind, UUID], _Single]
) -> dict[JobKind, _Single | None]:
    """The jobs before an evaluation's clips can be forwarded. The plan is queued only after the others."""
    subjects = {
        JobKind.INGEST: evaluation.checkpoint_id,
        JobKind.CALIBRATE: evaluation.checkpoint_id,
        JobKind.INDEX: evaluation.dataset_id,
    }
    found: dict[JobKind, _Single | None] = {
        kind: job
        for kind, subject_id in subjects.items()
        if (job := jobs.get((kind, subject_id))) and not job.was_there(evaluation.created_at)
    }
    return {**found, JobKind.PLAN: jobs.get((JobKind.PLAN, evaluation.id))}


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a planned evaluation has to do, in clips; `_s` is seconds.

    Attributes:
        done: Of `total`.
        total: Clips to forward and to calibrate with, and scorings at their weight.
        unplanned_clips: Of controls that are not planned yet.
        fresh_clips: Clips that went through a network since the request.
        left_clips: Those that have yet to.
        begun_at: When the first of the fresh ones was begun.
        scoring_s: Left, for the evaluation and its controls.
        retrying: Whether one of these jobs is tried again now.
        now: By the database.
    """

    done: float
    total: float
    unplanned_clips: int
    fresh_clips: int
    left_clips: int
    begun_at: datetime | None
    scoring_s: float
    retrying: bool
    now: datetime | None

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        controls: Iterable[Evaluation],
        clips: Mapping[UUID, _Clips],
        jobs: Mapping[tuple[JobKind, UUID], _Single],
        scorings: Mapping[UUID, _Scoring],
    ) -> _Work:
        """From the rows."""
        asked_at, num_clips = evaluation.created_at, evaluation.num_clips or 0
        missing = [one for one in controls if not _was_there(one, asked_at)]
        # Rows are read one statement after the other, and others commit in between: a control's row may be
        # older than its shards and jobs. So nothing that was counted once is dropped or counted again.
        unplanned = sum(num_clips for one in missing if one.num_clips is None and one.id not in clips)
        calibrations = [
            job
            for one in missing
            if (job := jobs.get((JobKind.CALIBRATE, one.checkpoint_id))) and not job.was_there(asked_at)
        ]
        wanted = int(evaluation.protocol.content.get("control", {}).get("calibration_clips", 0))
        sizes = [wanted if job.total is None else job.total for job in calibrations]
        calibrated = sum(round(job.share * size) for job, size in zip(calibrations, sizes, strict=True))
        wanted_scorings = [scorings[one.id] for one in (evaluation, *missing)]
        scored = sum(one.share for one in wanted_scorings)
        paced: list[_Clips | _Single] = [*clips.values(), *calibrations]
        paced += [job for one in wanted_scorings for job in one.jobs]
        # A shard that others cut may hold more clips than this evaluation needs: it weighs no more for that.
        weights = {key: min(one.total, num_clips) for key, one in clips.items()}
        forwarded = sum(weights[key] * one.done / one.total for key, one in clips.items() if one.total)
        weight = SCORING * num_clips
        total = sum(weights.values()) + unplanned + sum(sizes) + weight * (1 + len(missing))
        begun = [one.begun_at for one in clips.values() if one.begun_at]
        begun += [job.started_at for job in calibrations if job.started_at]
        fresh = sum(one.done for one in clips.values()) + calibrated
        return cls(
            done=forwarded + calibrated + weight * scored,
            total=total,
            unplanned_clips=unplanned,
            fresh_clips=fresh,
            left_clips=sum(one.total for one in clips.values()) + unplanned + sum(sizes) - fresh,
            begun_at=min(begun, default=None),
            scoring_s=_scoring_s(scorings.values(), wanted_scorings, num_clips),
            retrying=any(one.retrying for one in paced),
            now=next((job.now for job in jobs.values()), None),
        )

    @property
    def share(self) -> float:
        """How much of it is done."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def remaining_s(self) -> float | None:
        """What is left at the pace so far; None before there is one, and while a job is tried again."""
        if self.retrying:
            return None
        if self.left_clips <= 0:
            return round(max(1.0, self.scoring_s), 1)
        if not self.fresh_clips or self.begun_at is None or self.now is None:
            return None
        elapsed_s = (self.now - self.begun_at).total_seconds()
        if elapsed_s < PACE_S and self.fresh_clips < PACE_SHARE * (self.fresh_clips + self.left_clips):
            return None
        return round(max(1.0, elapsed_s / self.fresh_clips * self.left_clips + self.scoring_s), 1)


def _was_there(control: Evaluation, asked_at: datetime) -> bool:
    """Whether a control had its scores before the request."""
    return (
        control.state is EvaluationState.DONE
        and control.finished_at is not None
        and control.finished_at <= asked_at
    )


def _scoring_s(scorings: Iterable[_Scoring], wanted: Iterable[_Scoring], num_clips: int) -> float:
    """Seconds of scoring that are left, at the pace of the control that was scored fastest.

    That control has the same clips and probes. Other controls may have been scored many times slower, because
    the same cores forwarded clips meanwhile.
    """
    took = [one.elapsed_s for one in scorings if one.is_done and one.jobs]
    usual_s = min(took, default=SCORING_S + SCORING_CLIP_S * num_clips)
    return sum(one.left_s(usual_s) for one in wanted)
