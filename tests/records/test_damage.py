"""What follows when jobs that fit or score notice damaged features: two at once, late, or again and again."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import select, update

from records import flow
from records.damage import features_damaged
from records.db import Database
from records.models import Evaluation, EvaluationState, Job, JobKind, JobState, Shard
from records.repositories import jobs
from records.repositories.jobs import MAX_OUTAGES, Claim
from records.repositories.locks import LockNotHeld
from tests.records.test_flow import Lab

RUNNING, SCORING = EvaluationState.RUNNING, EvaluationState.SCORING


@pytest.fixture
def lab(database: Database) -> Lab:
    return Lab(database)


def notice(lab: Lab, claim: Claim, damaged: Mapping[UUID, str | None]) -> None:
    """What a job that fits or scores writes when it finds these features damaged."""
    with lab.database.session() as session:
        flow.lock(session)
        assert jobs.finish(session, claim)
        evaluation = session.get_one(Evaluation, claim.subject_id)
        features_damaged(session, evaluation, claim.job_id, damaged)


def finish_shard(lab: Lab, sha256: str) -> None:
    """Extract the next shard, with these features."""
    claim = lab.claim(JobKind.EXTRACT)
    with lab.database.session() as session:
        session.execute(update(Shard).where(Shard.id == claim.subject_id).values(sha256=sha256))
    lab.finish_shard(claim)


def two_that_share(lab: Lab, fits: int) -> tuple[UUID, UUID, UUID]:
    """Two evaluations that are being scored from the same shard, and the shard."""
    first, second = lab.request(lab.checkpoint()), lab.request(lab.checkpoint())
    (shard_id,) = lab.planned(first, new=1, fits=fits)
    lab.planned(second, shared=[shard_id], fits=fits)
    finish_shard(lab, "before")
    assert lab.evaluation(first).state is lab.evaluation(second).state is SCORING
    return first, second, shard_id


def outages(lab: Lab, shard_id: UUID) -> int:
    with lab.database.session() as session:
        return session.scalars(select(Job.outages).where(Job.shard_id == shard_id)).one()


def test_two_evaluations_that_notice_the_same_damage_at_once_have_it_extracted_once(lab: Lab) -> None:
    first, second, shard_id = two_that_share(lab, fits=2)
    claims = [lab.claim(JobKind.FIT) for _ in range(3)]  # one fit waits
    for claim in claims:
        notice(lab, claim, {shard_id: "before"})
    assert lab.evaluation(first).state is lab.evaluation(second).state is RUNNING
    assert lab.jobs(JobKind.FIT) == lab.jobs(JobKind.SCORE) == []
    assert lab.jobs(JobKind.EXTRACT) == [JobState.QUEUED]
    assert outages(lab, shard_id) == 1
    finish_shard(lab, "after")
    assert lab.evaluation(first).state is lab.evaluation(second).state is SCORING
    assert lab.jobs(JobKind.FIT) == 4 * [JobState.QUEUED]
    for ended in (1, 2):  # what was asked for first ends first
        for _ in range(2):
            lab.finish_fit(lab.claim(JobKind.FIT))
        lab.claim(JobKind.SCORE)
        assert lab.jobs(JobKind.SCORE) == ended * [JobState.RUNNING]


def test_fits_that_were_done_or_run_on_while_others_notice_damage_are_kept(lab: Lab) -> None:
    first, _, shard_id = two_that_share(lab, fits=2)
    done, running, noticed = (lab.claim(JobKind.FIT) for _ in range(3))
    lab.finish_fit(done)
    notice(lab, noticed, {shard_id: "before"})
    lab.finish_fit(running)
    assert lab.jobs(JobKind.FIT) == 2 * [JobState.DONE]
    finish_shard(lab, "after")
    assert sorted(lab.jobs(JobKind.FIT)) == [JobState.DONE] * 2 + [JobState.QUEUED] * 2
    assert lab.evaluation(first).state is SCORING


def test_damage_that_is_mended_already_only_queues_the_job_anew(lab: Lab) -> None:
    first, _, shard_id = two_that_share(lab, fits=0)
    claim = lab.claim(JobKind.SCORE)  # and it read the shard's row just before the second extraction ended
    notice(lab, lab.claim(JobKind.SCORE), {shard_id: "before"})
    finish_shard(lab, "after")
    notice(lab, claim, {shard_id: "before"})
    assert lab.jobs(JobKind.EXTRACT) == [JobState.DONE]
    assert outages(lab, shard_id) == 1
    assert lab.jobs(JobKind.SCORE) == 2 * [JobState.QUEUED]
    assert lab.evaluation(first).state is SCORING


def test_a_worker_that_is_killed_before_it_commits_leaves_the_damage_to_be_noticed_again(lab: Lab) -> None:
    _, _, shard_id = two_that_share(lab, fits=0)
    claim = lab.claim(JobKind.SCORE)
    with lab.database.session() as session:
        flow.lock(session)
        assert jobs.finish(session, claim)
        evaluation = session.get_one(Evaluation, claim.subject_id)
        features_damaged(session, evaluation, claim.job_id, {shard_id: "before"})
        session.rollback()  # as PostgreSQL does when the connection breaks
    assert lab.jobs(JobKind.EXTRACT) == [JobState.DONE]
    assert sorted(lab.jobs(JobKind.SCORE)) == [JobState.QUEUED, JobState.RUNNING]
    notice(lab, claim, {shard_id: "before"})
    assert lab.jobs(JobKind.EXTRACT) == [JobState.QUEUED]


def test_a_store_that_damages_the_same_features_again_and_again_ends_in_a_failure(lab: Lab) -> None:
    first, second, shard_id = two_that_share(lab, fits=0)
    for number in range(MAX_OUTAGES):
        with lab.database.session() as session:
            expected = session.get_one(Shard, shard_id).sha256
        notice(lab, lab.claim(JobKind.SCORE), {shard_id: expected})
        if number < MAX_OUTAGES - 1:
            finish_shard(lab, str(number))
    for evaluation_id in (first, second):
        found = lab.evaluation(evaluation_id)
        assert found.state is EvaluationState.FAILED
        assert "damaged in the store 10 times" in str(found.reason)


def test_nothing_changes_without_the_flows_lock(lab: Lab) -> None:
    first, _, shard_id = two_that_share(lab, fits=0)
    claim = lab.claim(JobKind.SCORE)
    with lab.database.session() as session, pytest.raises(LockNotHeld):
        features_damaged(session, session.get_one(Evaluation, first), claim.job_id, {shard_id: "before"})
