"""Asking for evaluations, following them, reading and comparing what they gave."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow
from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState
from records.repositories import checkpoints, evaluations
from records.repositories.progress import progress
from service.auth import Caller
from service.checkpoints import service as checkpoint_service
from service.datasets import service as dataset_service
from service.evaluations.schemas import (
    Comparison,
    EvaluationIn,
    EvaluationOut,
    ProgressOut,
    all_warnings,
    reason_for,
    shown,
    with_declared,
)
from service.evaluations.waiting import standing
from service.problems import Conflict, Forbidden, NotFound
from service.protocols import service as protocol_service
from vcp_core.catalog.protocols import Protocol
from vcp_core.comparison import compare, unpaired
from vcp_core.diagnosis import diagnose
from vcp_core.results import Predictions, Results

UUID_FORM = re.compile(r"^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$", re.IGNORECASE)


def create(session: Session, wanted: EvaluationIn, caller: Caller) -> tuple[Evaluation, bool]:
    """The evaluation, and whether it is new: what is done or under way is not done again.

    Raises:
        NotFound: If there is no such checkpoint of the caller's team, or of any for an administrator.
        UnknownName: If there is no such dataset or protocol.
        Conflict: If the checkpoint was rejected, or its bytes are not there yet.
    """
    flow.lock(session)
    checkpoint = _checkpoint(session, wanted.checkpoint, caller)
    protocol = protocol_service.find(session, wanted.protocol)
    dataset = dataset_service.find(session, wanted.dataset, team=caller.team)
    if checkpoint.state is CheckpointState.REJECTED:
        raise Conflict(f"Checkpoint {checkpoint.id} was rejected: {checkpoint.reason}")
    if checkpoint.state is CheckpointState.DECLARED:
        raise Conflict(
            f"Checkpoint {checkpoint.id} is declared, but its bytes are not there. "
            f"PUT them to /v1/checkpoints/{checkpoint.id}/content."
        )
    assert checkpoint.model is not None
    return flow.request(session, checkpoint, dataset, protocol.hash, team=checkpoint.model.team)


def _checkpoint(session: Session, wanted: str, caller: Caller) -> Checkpoint:
    if UUID_FORM.match(wanted):
        checkpoint_id = UUID(wanted)
        if caller.admin:
            return checkpoint_service.find(session, checkpoint_id)
        return checkpoint_service.own(session, checkpoint_id, caller.team)
    model, at, which = wanted.partition("@")
    if at and which != "latest":
        raise NotFound(f"{wanted!r}: write a checkpoint's id, or MODEL@latest.")
    found = checkpoints.latest(session, caller.team, model)
    if found is None:
        raise NotFound(f"Team {caller.team!r} has no checkpoint of a model {model!r}.")
    return found


def find(session: Session, evaluation_id: UUID, *, with_results: bool = False) -> Evaluation:
    """An evaluation.

    Raises:
        NotFound: If there is none.
    """
    found = evaluations.get(session, evaluation_id, with_results=with_results)
    if found is None:
        raise NotFound(f"No evaluation {evaluation_id}. List them: GET /v1/evaluations.")
    return found


def detail(session: Session, evaluation: Evaluation, reader: Caller | None = None) -> EvaluationOut:
    """Everything about one evaluation that this reader may see."""
    stands = standing(session, evaluation, reader)
    scores = evaluations.scores(session, [evaluation.id])[evaluation.id]
    return shown(
        evaluation,
        scores=scores,
        diagnosis=[] if evaluation.is_control else list(diagnose(scores)),
        progress=ProgressOut.of(progress(session, evaluation), stands),
        waiting_for=stands.waiting_for,
        warnings=all_warnings(evaluation),
        controls=[control.id for control in evaluation.controls],
        reader=reader,
    )


def cancel(session: Session, evaluation_id: UUID, caller: Caller) -> Evaluation:
    """End an evaluation of the caller's team.

    Raises:
        NotFound: If there is none.
        Forbidden: If it is another team's.
        Conflict: If it has ended in another way, or is a control: other teams wait for it, too.
    """
    flow.lock(session)
    evaluation = find(session, evaluation_id)
    if evaluation.is_control:
        raise Conflict(
            f"Evaluation {evaluation_id} is a control, which all evaluations beside it share. "
            "It ends by itself once the last that needs it is cancelled."
        )
    if evaluation.team != caller.team and not caller.admin:
        raise Forbidden(f"Evaluation {evaluation_id} belongs to team {evaluation.team!r}.")
    if evaluation.state in (EvaluationState.DONE, EvaluationState.FAILED):
        raise Conflict(f"Evaluation {evaluation_id} is {evaluation.state.value} already.")
    flow.cancel(session, evaluation)
    return evaluation


def results(session: Session, evaluation_id: UUID, reader: Caller | None = None) -> Results:
    """All that an evaluation gave, predictions included.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If it is not done.
    """
    evaluation = find(session, evaluation_id, with_results=True)
    _done(evaluation, reader)
    predictions = evaluations.predictions(session, evaluation_id)
    content = dict(with_declared(evaluation) or {})
    content["benchmarks"] = [
        {**result, "predictions": predictions.get(result["benchmark"])} for result in content["benchmarks"]
    ]
    return Results.model_validate(content)


def comparison(session: Session, first_id: UUID, second_id: UUID, reader: Caller | None = None) -> Comparison:
    """The second against the first, paired by video.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If one is not done, or they do not stand on the same dataset and protocol.
    """
    pair = [find(session, evaluation_id, with_results=True) for evaluation_id in (first_id, second_id)]
    for evaluation in pair:
        _done(evaluation, reader)
    first, second = pair
    for what, mine, other in (
        ("dataset", first.dataset.fingerprint, second.dataset.fingerprint),
        ("protocol", first.protocol_hash, second.protocol_hash),
    ):
        if mine != other:
            raise Conflict(f"They differ in {what} ({mine} and {other}); only equals can be compared.")
    found = [
        {
            name: Predictions.model_validate(value)
            for name, value in evaluations.predictions(session, evaluation.id).items()
        }
        for evaluation in pair
    ]
    differences = compare(found[0], found[1], Protocol.model_validate(first.protocol.content))
    return Comparison(
        first=detail(session, first, reader),
        second=detail(session, second, reader),
        differences=list(differences),
        notes=list(unpaired(*found)),
    )


def _done(evaluation: Evaluation, reader: Caller | None) -> None:
    if evaluation.state is not EvaluationState.DONE:
        reason = reason_for(evaluation, reader)
        what = f": {reason}" if reason else "; results come when it is done"
        raise Conflict(f"Evaluation {evaluation.id} is {evaluation.state.value}{what}.")
