"""What follows from what, without any worker: claims and ends as workers make them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from records import flow
from records.db import NOW, Database
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Origin,
    PartRow,
    ProtocolRow,
    Shard,
)
from records.repositories import evaluations, jobs
from records.repositories.jobs import Claim
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.versions import engine
from worker.background import end_left_jobs


@dataclass
class Lab:
    """Makes rows, and does what workers do."""

    database: Database

    def __post_init__(self) -> None:
        with self.database.session() as session:
            session.add(ProtocolRow(hash="p", name="p", content={}))
            dataset = DatasetRow(name="d", source={}, state=DatasetState.READY, fingerprint="f")
            session.add(dataset)
            session.flush()
            self.dataset_id = dataset.id

    def checkpoint(self, state: CheckpointState = CheckpointState.READY, **more: object) -> UUID:
        with self.database.session() as session:
            row = Checkpoint(origin=Origin.UPLOAD, state=state, **more)
            session.add(row)
            session.flush()
            return row.id

    def request(self, checkpoint_id: UUID) -> UUID:
        with self.database.session() as session:
            flow.lock(session)
            found, _ = flow.find_or_create(
                session,
                session.get_one(Checkpoint, checkpoint_id),
                session.get_one(DatasetRow, self.dataset_id),
                "p",
                team="a",
            )
            return found.id

    def claim(self, kind: JobKind) -> Claim:
        with self.database.session() as session:
            found = jobs.claim(session, [kind.queue], worker_id=uuid4(), lease_s=60)
        assert found is not None
        assert found.kind is kind
        return found

    def shard(self, evaluation: Evaluation) -> Shard:
        return Shard(
            space="s",
            checkpoint_id=evaluation.checkpoint_id,
            dataset_id=evaluation.dataset_id,
            number=0,
            clips=[],
            num_clips=5,
            key=str(uuid4()),
        )

    def planned(
        self,
        evaluation_id: UUID,
        *,
        new: int = 0,
        shared: list[UUID] | None = None,
        controls: tuple[UUID, ...] = (),
        fits: int = 0,
    ) -> list[UUID]:
        """The plan job is done: some new shards, some of others, some controls, some jobs that fit."""
        claim = self.claim(JobKind.PLAN)
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.finish(session, claim)
            row = session.get_one(Evaluation, evaluation_id)
            row.fits = [{"parts": [f"cloze.{number}"], "units": 8} for number in range(fits)]
            shards = [self.shard(row) for _ in range(new)]
            session.add_all(shards)
            session.flush()
            ids = [shard.id for shard in shards]
            found = [session.get_one(Evaluation, control) for control in controls]
            flow.planned(session, row, [*(shared or []), *ids], found)
            return ids

    def finish_shard(self, claim: Claim) -> None:
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.finish(session, claim)
            flow.shard_done(session, claim.subject_id)

    def finish_fit(self, claim: Claim) -> None:
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.finish(session, claim)
            part = {"part": f"cloze.{claim.number}", "predictions": {}, "machine": {}}
            evaluations.add_parts(session, [{"evaluation_id": claim.subject_id, **part}])
            flow.fitted(session, session.get_one(Evaluation, claim.subject_id))

    def parts(self) -> list[str]:
        with self.database.session() as own:
            return list(own.scalars(select(PartRow.part).order_by(PartRow.part)))

    def fail(self, claim: Claim, reason: str) -> None:
        with self.database.session() as session:
            flow.lock(session)
            assert jobs.fail(session, claim, VcpbenchError(reason), log_tail="tail")
            flow.job_failed(session, session.get_one(Job, claim.job_id))

    def cancel(self, evaluation_id: UUID) -> None:
        with self.database.session() as session:
            flow.lock(session)
            flow.cancel(session, session.get_one(Evaluation, evaluation_id))

    def evaluation(self, evaluation_id: UUID) -> Evaluation:
        with self.database.session() as session:
            return session.get_one(Evaluation, evaluation_id)

    def priorities(self) -> dict[JobKind, int]:
        """Of the newest job of each kind."""
        with self.database.session() as own:
            return {job.kind: job.priority for job in own.scalars(select(Job).order_by(Job.created_at))}

    def jobs(self, kind: JobKind) -> list[JobState]:
        with self.database.session() as own:
            rows = own.scalars(select(Job).where(Job.kind == kind).order_by(Job.created_at))
            return [job.state for job in rows]


@pytest.fixture
def lab(database: Database) -> Lab:
    return Lab(database)


def test_an_evaluation_waits_until_its_checkpoint_is_read(lab: Lab) -> None:
    checkpoint_id = lab.checkpoint(CheckpointState.INGESTING)
    evaluation_id = lab.request(checkpoint_id)
    assert lab.evaluation(evaluation_id).state is EvaluationState.WAITING
    with lab.database.session() as session:
        flow.lock(session)
        checkpoint = session.get_one(Checkpoint, checkpoint_id)
        checkpoint.state = CheckpointState.READY
        flow.checkpoint_ended(session, checkpoint)
    assert lab.evaluation(evaluation_id).state is EvaluationState.PLANNING
    assert lab.jobs(JobKind.PLAN) == [JobState.QUEUED]


def test_the_same_request_from_many_at_once_makes_one_evaluation(lab: Lab) -> None:
    checkpoint_id = lab.checkpoint()
    found: list[UUID] = []
    threads = [threading.Thread(target=lambda: found.append(lab.request(checkpoint_id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert lab.jobs(JobKind.PLAN) == [JobState.QUEUED]


def test_shards_that_finish_at_once_are_followed_by_one_score_job(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    lab.planned(evaluation_id, new=6)
    claims = [lab.claim(JobKind.EXTRACT) for _ in range(6)]
    threads = [threading.Thread(target=lab.finish_shard, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.evaluation(evaluation_id).state is EvaluationState.SCORING
    assert lab.jobs(JobKind.SCORE) == [JobState.QUEUED]


def test_fits_that_end_at_once_are_followed_by_one_score_job_and_their_answers_end_with_it(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    lab.planned(evaluation_id, new=1, fits=6)
    assert lab.jobs(JobKind.FIT) == []
    lab.finish_shard(lab.claim(JobKind.EXTRACT))
    assert lab.evaluation(evaluation_id).state is EvaluationState.SCORING
    claims = [lab.claim(JobKind.FIT) for _ in range(6)]
    assert sorted(claim.number for claim in claims) == list(range(6))
    assert lab.jobs(JobKind.SCORE) == []
    threads = [threading.Thread(target=lab.finish_fit, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.jobs(JobKind.FIT) == [JobState.DONE] * 6
    assert lab.jobs(JobKind.SCORE) == [JobState.QUEUED]
    assert len(lab.parts()) == 6
    claim = lab.claim(JobKind.SCORE)
    with lab.database.session() as session:
        flow.lock(session)
        assert jobs.finish(session, claim)
        flow.scored(session, session.get_one(Evaluation, evaluation_id))
    assert lab.parts() == []


def test_a_fit_knows_its_size_before_it_begins_and_its_priority_rises_with_the_evaluations(lab: Lab) -> None:
    checkpoint_id = lab.checkpoint()
    evaluation_id = lab.request(checkpoint_id)
    with lab.database.session() as session:
        session.execute(update(Evaluation).values(priority=jobs.LOW))
    lab.planned(evaluation_id, fits=2)
    assert lab.priorities()[JobKind.FIT] == jobs.LOW
    with lab.database.session() as session:
        found = session.scalars(select(Job).where(Job.kind == JobKind.FIT)).all()
        assert [(job.queue, job.total) for job in found] == [("cpu", 8), ("cpu", 8)]
    lab.request(checkpoint_id)
    assert lab.priorities()[JobKind.FIT] == 0


def test_a_failed_fit_fails_the_evaluation_and_stops_the_other_fits(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    lab.planned(evaluation_id, fits=3)
    lab.finish_fit(lab.claim(JobKind.FIT))
    assert len(lab.parts()) == 1
    lab.fail(lab.claim(JobKind.FIT), "out of memory")
    found = lab.evaluation(evaluation_id)
    assert (found.state, str(found.reason)) == (EvaluationState.FAILED, "out of memory")
    assert sorted(lab.jobs(JobKind.FIT)) == [JobState.CANCELLED, JobState.DONE, JobState.FAILED]
    assert lab.parts() == lab.jobs(JobKind.SCORE) == []


def test_a_cancelled_evaluation_leaves_no_fit_and_no_answer(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    lab.planned(evaluation_id, fits=3)
    lab.finish_fit(lab.claim(JobKind.FIT))
    lab.claim(JobKind.FIT)
    lab.cancel(evaluation_id)
    assert sorted(lab.jobs(JobKind.FIT)) == [JobState.CANCELLED, JobState.CANCELLED, JobState.DONE]
    assert lab.parts() == lab.jobs(JobKind.SCORE) == []


def test_an_evaluation_whose_clips_are_all_there_goes_straight_to_scoring(lab: Lab) -> None:
    first = lab.request(lab.checkpoint())
    (shard,) = lab.planned(first, new=1)
    lab.finish_shard(lab.claim(JobKind.EXTRACT))
    lab.claim(JobKind.SCORE)
    second = lab.request(lab.checkpoint())
    lab.planned(second, shared=[shard])
    assert lab.evaluation(second).state is EvaluationState.SCORING
    assert lab.jobs(JobKind.EXTRACT) == [JobState.DONE]


def test_a_shared_shard_moves_all_who_need_it(lab: Lab) -> None:
    first, second = lab.request(lab.checkpoint()), None
    (shard,) = lab.planned(first, new=1)
    second = lab.request(lab.checkpoint())
    lab.planned(second, shared=[shard])
    lab.finish_shard(lab.claim(JobKind.EXTRACT))
    assert {lab.evaluation(e).state for e in (first, second)} == {EvaluationState.SCORING}


def test_cancelling_leaves_what_others_need(lab: Lab) -> None:
    first = lab.request(lab.checkpoint())
    shared, _ = lab.planned(first, new=2)
    second = lab.request(lab.checkpoint())
    lab.planned(second, shared=[shared])
    lab.cancel(first)
    assert sorted(lab.jobs(JobKind.EXTRACT)) == [JobState.CANCELLED, JobState.QUEUED]
    lab.cancel(second)
    assert lab.jobs(JobKind.EXTRACT) == [JobState.CANCELLED, JobState.CANCELLED]


def test_a_wide_evaluation_is_cancelled_in_pieces_and_what_runs_ends_at_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CANCELLED_AT_ONCE", 2)
    first = lab.request(lab.checkpoint())
    lab.planned(first, new=7)
    lab.claim(JobKind.EXTRACT)
    lab.cancel(first)
    assert lab.evaluation(first).state is EvaluationState.CANCELLED
    assert sorted(lab.jobs(JobKind.EXTRACT)) == 3 * [JobState.CANCELLED] + 4 * [JobState.QUEUED]
    second = lab.request(lab.checkpoint())  # it is asked for again before the rest has ended
    with lab.database.session() as session:
        extract = select(Job.shard_id).where(Job.kind == JobKind.EXTRACT)
        waiting = session.scalars(extract.where(Job.state == JobState.QUEUED)).first()
    assert waiting is not None
    lab.planned(second, shared=[waiting])
    while end_left_jobs(lab.database):
        pass
    assert sorted(lab.jobs(JobKind.EXTRACT)) == 6 * [JobState.CANCELLED] + [JobState.QUEUED]
    assert not lab.evaluation(first).leaves_jobs
    lab.finish_shard(lab.claim(JobKind.EXTRACT))
    assert lab.evaluation(second).state is EvaluationState.SCORING


def test_a_failed_shard_fails_all_who_need_it_with_its_reason(lab: Lab) -> None:
    first = lab.request(lab.checkpoint())
    shard, _ = lab.planned(first, new=2)
    second = lab.request(lab.checkpoint())
    lab.planned(second, shared=[shard])
    claim = lab.claim(JobKind.EXTRACT)
    lab.fail(claim, "a.mp4 has changed")
    found = [lab.evaluation(e) for e in ((first, second) if claim.subject_id == shard else (first,))]
    assert [(e.state, str(e.reason), e.log_tail) for e in found] == [
        (EvaluationState.FAILED, "a.mp4 has changed", "tail")
    ] * len(found)


def test_a_failed_control_fails_its_parents_and_a_cancelled_parent_cancels_its_control(lab: Lab) -> None:
    control = lab.request(lab.checkpoint(seed=2))
    lab.planned(control, new=1)
    parents = [lab.request(lab.checkpoint()) for _ in range(2)]
    for parent in parents:
        lab.planned(parent, controls=(control,))
    lab.cancel(parents[0])
    assert lab.evaluation(control).state is EvaluationState.RUNNING
    lab.fail(lab.claim(JobKind.EXTRACT), "out of memory")
    assert lab.evaluation(parents[0]).state is EvaluationState.CANCELLED
    failed = lab.evaluation(parents[1])
    assert failed.state is EvaluationState.FAILED
    assert str(failed.reason) == "its random-weights control (seed 2) failed: out of memory"


def test_the_last_parents_cancel_ends_the_control(lab: Lab) -> None:
    control = lab.request(lab.checkpoint())
    lab.planned(control, new=1)
    parent = lab.request(lab.checkpoint())
    lab.planned(parent, controls=(control,))
    lab.cancel(parent)
    assert lab.evaluation(control).state is EvaluationState.CANCELLED
    assert lab.jobs(JobKind.EXTRACT) == [JobState.CANCELLED]


def test_an_ended_evaluation_stays_as_it_ended(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    lab.cancel(evaluation_id)
    with lab.database.session() as session:
        flow.lock(session)
        flow.fail(session, session.get_one(Evaluation, evaluation_id), VcpbenchError("too late"))
    assert lab.evaluation(evaluation_id).state is EvaluationState.CANCELLED
    assert lab.evaluation(evaluation_id).reason is None


def test_asking_again_after_a_failure_makes_a_new_evaluation(lab: Lab) -> None:
    checkpoint_id = lab.checkpoint()
    first = lab.request(checkpoint_id)
    lab.fail(lab.claim(JobKind.PLAN), "no")
    second = lab.request(checkpoint_id)
    assert second != first
    assert str(lab.evaluation(first).reason) == "no"
    assert lab.request(checkpoint_id) == second


def test_an_evaluation_that_turns_out_to_be_of_the_same_videos_is_not_done_again(lab: Lab) -> None:
    checkpoint_id, first_dataset = lab.checkpoint(), lab.dataset_id
    first = lab.request(checkpoint_id)
    with lab.database.session() as session:
        session.get_one(DatasetRow, first_dataset).retired_at = cast(Any, NOW)
        session.flush()
        again = DatasetRow(name="d", source={}, state=DatasetState.INDEXING)
        session.add(again)
        session.flush()
        lab.dataset_id = again.id
    second = lab.request(checkpoint_id)
    assert second != first
    with lab.database.session() as session:
        flow.lock(session)
        dataset = session.get_one(DatasetRow, lab.dataset_id)
        dataset.state, dataset.fingerprint = DatasetState.READY, "f"
        flow.dataset_ended(session, dataset)
    found = lab.evaluation(second)
    assert found.state is EvaluationState.CANCELLED
    assert str(found.reason) == f"the same as evaluation {first}, which is under way: their videos are equal"
    assert lab.jobs(JobKind.PLAN) == [JobState.QUEUED]
    assert lab.request(checkpoint_id) == first


def test_clips_that_somebody_waits_for_are_no_longer_those_that_can_wait(lab: Lab) -> None:
    later = lab.request(lab.checkpoint())
    with lab.database.session() as session:
        session.execute(update(Evaluation).values(priority=jobs.LOW))
        session.execute(update(Job).values(priority=jobs.LOW))
    (shared,) = lab.planned(later, new=1)
    assert lab.priorities() == {JobKind.PLAN: jobs.LOW, JobKind.EXTRACT: jobs.LOW}
    soon = lab.request(lab.checkpoint())
    lab.planned(soon, shared=[shared])
    assert lab.priorities()[JobKind.EXTRACT] == 0


def test_a_control_that_somebody_waits_for_is_no_longer_one_that_can_wait(lab: Lab) -> None:
    weights = lab.checkpoint(CheckpointState.INGESTING)
    control = lab.request(weights)
    with lab.database.session() as session:
        flow.lock(session)
        jobs.enqueue(session, JobKind.CALIBRATE, team="a", checkpoint_id=weights, priority=jobs.LOW)
        session.get_one(Evaluation, control).priority = jobs.LOW
    assert lab.request(weights) == control
    assert lab.evaluation(control).priority == 0
    assert lab.priorities() == {JobKind.CALIBRATE: 0}


def test_what_was_to_be_planned_across_an_update_is_made_by_the_new_version(lab: Lab) -> None:
    evaluation_id = lab.request(lab.checkpoint())
    with lab.database.session() as session:
        session.execute(update(Evaluation).values(engine="of before"))
    lab.planned(evaluation_id, new=1)
    assert (lab.evaluation(evaluation_id).engine, lab.evaluation(evaluation_id).older) == (engine(), False)
    assert lab.jobs(JobKind.EXTRACT) == [JobState.QUEUED]


def test_what_was_asked_for_again_across_an_update_is_not_made_twice(lab: Lab) -> None:
    checkpoint_id = lab.checkpoint()
    before = lab.request(checkpoint_id)
    with lab.database.session() as session:
        session.execute(update(Evaluation).values(engine="of before"))
    again = lab.request(checkpoint_id)
    assert again != before
    lab.planned(before, new=1)
    assert lab.evaluation(before).state is EvaluationState.CANCELLED
    assert f"the same as evaluation {again}" in str(lab.evaluation(before).reason)
