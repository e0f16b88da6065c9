"""Fit some parts of an evaluation's benchmarks, and keep their answers until the evaluation is scored."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from records import flow
from records.models import Evaluation, Shard
from records.repositories import evaluations
from vcp_core.catalog.errors import VersionError
from worker.runner import Out
from worker.tasks.features import DamagedFeatures, extract_again, features_of
from worker.tasks.plan import expect_same_facts, plan_arguments
from worker.work import Work

STALL_S = 7200.0  # one fit on a large dataset takes long, and the child reports progress after each fit


def fit(work: Work) -> None:
    """Fit the parts of this job, and write what they answer."""
    evaluation, shards = work.read(lambda session: with_shards(session, work))
    assert evaluation.fits is not None
    out = work.folder / "fitted.json"
    try:
        paths = features_of(work, shards)
    except DamagedFeatures as damaged:
        extract_again(work, evaluation, damaged)
        return
    work.in_child(
        "fit",
        stall_s=STALL_S,
        plan=plan_arguments(work, evaluation),
        features=paths,
        parts=evaluation.fits[work.claim.number]["parts"],
        out=Out(out),
    )
    found = json.loads(out.read_text(encoding="utf-8"))
    rows = [
        {"evaluation_id": evaluation.id, "part": part, "predictions": one, "machine": found["machine"]}
        for part, one in found["predictions"].items()
    ]

    def write(session: Session) -> None:
        evaluations.add_parts(session, rows)
        flow.fitted(session, session.get_one(Evaluation, evaluation.id))

    work.conclude(write)


def with_shards(session: Session, work: Work) -> tuple[Evaluation, list[Shard]]:
    """Read the evaluation of a job that fits or scores, and its shards.

    Raises:
        VersionError: If another version of vcpbench planned it: that version may have made some features.
    """
    evaluation = session.get_one(Evaluation, work.subject_id)
    expect_same_facts(evaluation)
    if evaluation.older:
        raise VersionError("vcpbench was updated while this was evaluated. Ask for it again.")
    return evaluation, sorted(evaluation.shards, key=lambda shard: shard.key)
