"""Does by hand, at the pace of a test, what workers do: claims jobs, tells how far they are, ends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from records import flow
from records.db import NOW, Database
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    Job,
    JobKind,
    JobState,
    Origin,
    Shard,
    Worker,
)
from records.repositories import evaluations, jobs, many_jobs
from records.repositories.jobs import Claim
from vcp_core.catalog.errors import VcpbenchError


class Crew:
    """Workers without processes, on real rows.

    Args:
        database: Where jobs are.
        shards: How many a plan cuts, of `clips` each.
        clips: Of a shard.
        controls: Seeds of the random weights that a plan asks for.
        fits: How many jobs that fit a plan makes, of ten units each; the score job then has ten units, too.
    """

    def __init__(
        self,
        database: Database,
        *,
        shards: int = 2,
        clips: int = 10,
        controls: Sequence[int] = (),
        fits: int = 0,
    ) -> None:
        self.database, self.shards, self.clips, self.controls = database, shards, clips, controls
        self.fits = fits
        self._own: UUID | None = None

    def worker(self, *queues: str) -> UUID:
        """One that is there, and still will be when a busy machine gets to the end of the test."""
        with self.database.session() as session:
            later = NOW + timedelta(hours=1)
            row = Worker(name="host:1", queues=list(queues), device="cpu", seen_at=later)
            session.add(row)
            session.flush()
            return row.id

    def silence(self, worker_id: UUID) -> None:
        """The worker has not been seen lately."""
        with self.database.session() as session:
            past = NOW - timedelta(seconds=40)
            session.execute(update(Worker).where(Worker.id == worker_id).values(seen_at=past))

    def claim(self, worker_id: UUID | None = None, *queues: str) -> Claim:
        """The next job; without a worker, one of all queues takes it, who is there from then on."""
        if worker_id is None:
            worker_id = self._own = self._own or self.worker("cpu", "gpu")
        with self.database.session() as session:
            found = jobs.claim(session, queues or ("cpu", "gpu"), worker_id=worker_id, lease_s=60)
        assert found is not None
        return found

    def began(self, claim: Claim, seconds: float) -> None:
        """As if the job had been claimed so long ago."""
        with self.database.session() as session:
            past = NOW - timedelta(seconds=seconds)
            session.execute(update(Job).where(Job.id == claim.job_id).values(started_at=past))

    def tell(self, claim: Claim, done: int, total: int) -> None:
        """How far it is."""
        with self.database.session() as session:
            assert jobs.renew(session, claim, lease_s=60, done=done, total=total)

    def crash(self, claim: Claim, error: str = "out of memory", *, pause: bool = True) -> None:
        """The attempt fails; the next may begin at once, if it is not to pause."""
        with self.database.session() as session:
            assert jobs.crash(session, claim, VcpbenchError(error)) is JobState.QUEUED
            if not pause:
                session.execute(update(Job).where(Job.id == claim.job_id).values(not_before=None))

    def release(self, claim: Claim) -> None:
        """The worker shuts down, and gives the job back."""
        with self.database.session() as session:
            assert jobs.release(session, claim)

    def fail(self, claim: Claim, error: str) -> None:
        """The job fails for good."""
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.fail(session, claim, VcpbenchError(error))
            flow.job_failed(session, session.get_one(Job, claim.job_id))

    def finish(self, claim: Claim) -> None:
        """What the job's task writes at its end."""
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.finish(session, claim)
            if claim.kind in (JobKind.INGEST, JobKind.CALIBRATE):
                checkpoint = session.get_one(Checkpoint, claim.subject_id)
                checkpoint.state, checkpoint.backbone = CheckpointState.READY, "r3d_tiny"
                flow.checkpoint_ended(session, checkpoint)
            elif claim.kind is JobKind.INDEX:
                dataset = session.get_one(DatasetRow, claim.subject_id)
                dataset.state, dataset.fingerprint = DatasetState.READY, f"of {dataset.name}"
                flow.dataset_ended(session, dataset)
            elif claim.kind is JobKind.PLAN:
                self._plan(session, session.get_one(Evaluation, claim.subject_id))
            elif claim.kind is JobKind.EXTRACT:
                flow.shard_done(session, claim.subject_id)
            elif claim.kind is JobKind.FIT:
                part = {"part": str(claim.number), "predictions": {}, "machine": {}}
                evaluations.add_parts(session, [{"evaluation_id": claim.subject_id, **part}])
                flow.fitted(session, session.get_one(Evaluation, claim.subject_id))
            else:
                flow.scored(session, session.get_one(Evaluation, claim.subject_id))

    def _plan(self, session: Session, evaluation: Evaluation) -> None:
        shards = [
            Shard(
                space=str(evaluation.checkpoint_id),
                checkpoint_id=evaluation.checkpoint_id,
                dataset_id=evaluation.dataset_id,
                number=number,
                clips=[],
                num_clips=self.clips,
                key=str(uuid4()),
            )
            for number in range(self.shards)
        ]
        session.add_all(shards)
        session.flush()
        evaluation.num_clips, evaluation.unavailable = self.shards * self.clips, {}
        if self.fits:
            evaluation.fits = [{"parts": [str(number)], "units": 10} for number in range(self.fits)]
            evaluation.scoring_units = 10 * self.fits + 10
        seeds = () if evaluation.is_control else self.controls
        controls = [self._control(session, evaluation, seed) for seed in seeds]
        flow.planned(session, evaluation, [shard.id for shard in shards], controls)

    def _control(self, session: Session, evaluation: Evaluation, seed: int) -> Evaluation:
        query = select(Checkpoint).where(Checkpoint.control_key == str(seed))
        weights = session.scalars(query).one_or_none()
        if weights is None:
            state = CheckpointState.INGESTING
            weights = Checkpoint(origin=Origin.CONTROL, state=state, seed=seed, control_key=str(seed))
            session.add(weights)
            session.flush()
            many_jobs.enqueue_calibrations(session, [weights.id], evaluation)
        (found,), _ = flow.find_or_create_all(
            session,
            [weights.id],
            evaluation.dataset,
            evaluation.protocol_hash,
            team=evaluation.team,
            is_control=True,
            asked_at=evaluation.asked_at,
        )
        return found

    def do(self, *kinds: JobKind) -> None:
        """One job after the other; they must come in this order."""
        for kind in kinds:
            claim = self.claim()
            assert claim.kind is kind
            self.finish(claim)
