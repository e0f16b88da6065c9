"""Ask for evaluations, follow them, cancel them, and read their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog
from sqlalchemy.orm import Session

from records import flow, tracing
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Evaluation,
    EvaluationState,
    ProtocolRow,
)
from records.repositories import checkpoints, evaluations, quotas
from records.repositories.jobs import HIGH
from records.repositories.progress import progress
from records.settings import Settings
from service.auth import Caller
from service.checkpoints import named as checkpoint_named
from service.checkpoints.named import Among
from service.datasets import service as dataset_service
from service.evaluations import named
from service.evaluations.schemas import (
    EvaluationIn,
    EvaluationOut,
    ProgressOut,
    all_warnings,
    reason_for,
    shown,
    with_declared,
)
from service.evaluations.waiting import standing
from service.limits import MAX_LIVE_GATES
from service.problems import Conflict, Forbidden, InvalidRequest, NotFound
from service.protocols import service as protocol_service
from service.quotas.service import check_running
from service.reasons import text_for
from vcp_core.catalog.scores import Score
from vcp_core.evaluation.size import check_summary
from vcp_core.results.diagnosis import diagnose
from vcp_core.results.types import Results

_FACTS: Mapping[str, Callable[[Evaluation], str | None]] = {  # equal where scores may be compared
    "dataset": lambda one: one.dataset.fingerprint,
    "protocol": lambda one: one.protocol_hash,
    "version of vcpbench": lambda one: one.engine,
}
log = structlog.get_logger("vcpbench.service")


def create(
    session: Session, wanted: EvaluationIn, caller: Caller, settings: Settings
) -> tuple[Evaluation, bool]:
    """Find or make an evaluation. Return it, and whether it is new.

    An evaluation that is done or under way is not made again. Workers take what a gate waits for first, as
    long as few gates of the team are under way.

    Raises:
        NotFound: If there is no such checkpoint of the caller's team, or of any for an administrator.
        UnknownName: If there is no such dataset or protocol.
        Conflict: If the checkpoint was rejected, its bytes are not there yet, or the protocol is an older
            version's.
        TooMany: If it is new, and the team has as many under way as it may have.
        PlanTooLarge: If checkpoint and dataset are ready and have too many clips. Otherwise the evaluation
            fails when it is planned.
    """
    flow.lock(session)  # before the dataset is read: it could be forgotten before the evaluation waits for it
    checkpoint = _checkpoint(session, wanted.checkpoint, caller)
    protocol = protocol_service.find(session, wanted.protocol)
    protocol_service.check_runnable(protocol)
    dataset = dataset_service.find(session, wanted.dataset, team=caller.team)
    if checkpoint.state is CheckpointState.REJECTED:
        raise Conflict(f"Checkpoint {checkpoint.id} was rejected: {text_for(checkpoint.reason, caller)}")
    if checkpoint.state is CheckpointState.DECLARED:
        raise Conflict(
            f"Checkpoint {checkpoint.id} is declared, but its bytes are not there. "
            f"PUT them to /v1/checkpoints/{checkpoint.id}/content."
        )
    assert checkpoint.model is not None
    team = checkpoint.model.team
    _check_size(checkpoint, dataset, protocol)
    if evaluations.reusable(session, checkpoint, dataset, protocol.hash) is None:
        check_running(session, team, settings)
    priority = HIGH if wanted.for_gate and _may_hurry(session, team) else 0
    evaluation, new = flow.find_or_create(
        session, checkpoint, dataset, protocol.hash, team=team, priority=priority
    )
    log.info("evaluation asked for", evaluation=str(evaluation.id), new=new)
    tracing.annotate(evaluation=evaluation.id)
    return evaluation, new


def _may_hurry(session: Session, team: str) -> bool:
    gates, _ = quotas.under_way(session, team, least=HIGH)
    return gates < MAX_LIVE_GATES


def _check_size(checkpoint: Checkpoint, dataset: DatasetRow, protocol: ProtocolRow) -> None:
    numbers = protocol_service.numbers_of(protocol)
    if numbers is None or not checkpoint.is_known or dataset.summary is None:
        return
    check_summary(dataset.summary, numbers, checkpoint.spec)


def _checkpoint(session: Session, wanted: str, caller: Caller) -> Checkpoint:
    """Find the checkpoint to evaluate. The name of a model alone means its newest checkpoint."""
    among = Among.usable_by(caller)
    newest = checkpoints.latest(session, [(caller.team, wanted)], among.where)
    try:
        return newest or checkpoint_named.find(session, wanted, among)
    except InvalidRequest as error:  # the text is neither an id nor MODEL@latest, so it could only be a model
        raise NotFound(str(error)) from None


def detail(session: Session, evaluation: Evaluation, reader: Caller | None = None) -> EvaluationOut:
    """Everything about one evaluation that this reader may see."""
    stands = standing(session, evaluation, reader)
    scores = evaluations.scores(session, [evaluation.id])[evaluation.id]
    num_controls = sum(control.checkpoint.seed is not None for control in evaluation.controls)
    said = (
        ()
        if evaluation.is_control
        else diagnose(map(Score.model_validate, scores), num_controls=num_controls)
    )
    return shown(
        evaluation,
        scores=scores,
        diagnosis=list(said),
        progress=ProgressOut.of(progress(session, evaluation), stands),
        waiting_for=stands.waiting_for,
        warnings=all_warnings(evaluation),
        controls=[control.id for control in evaluation.controls],
        reader=reader,
    )


def cancel(session: Session, wanted: str, caller: Caller) -> Evaluation:
    """End an evaluation of the caller's team.

    Raises:
        NotFound: If there is none.
        Forbidden: If it is another team's.
        Conflict: If it has ended in another way, or is a control: other teams wait for it, too.
    """
    flow.lock(session)  # before the state is read: workers change it under the same lock
    evaluation = named.find(session, wanted, caller)
    if evaluation.is_control:
        raise Conflict(
            f"Evaluation {evaluation.id} is a control, which all evaluations beside it share. "
            "It ends by itself once the last that needs it is cancelled."
        )
    if evaluation.team != caller.team and not caller.admin:
        raise Forbidden(f"Evaluation {evaluation.id} belongs to team {evaluation.team!r}.")
    if evaluation.state in (EvaluationState.DONE, EvaluationState.FAILED):
        raise Conflict(f"Evaluation {evaluation.id} is {evaluation.state.value} already.")
    flow.cancel(session, evaluation)
    return evaluation


def results(session: Session, wanted: str, reader: Caller | None = None) -> Results:
    """The results of an evaluation, predictions included.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If it is not done.
    """
    evaluation = named.find(session, wanted, reader, with_results=True)
    check_done(evaluation, reader)
    predictions = evaluations.predictions(session, evaluation.id)
    content = dict(with_declared(evaluation) or {})
    content["benchmarks"] = [
        {**result, "predictions": predictions.get(result["benchmark"])} for result in content["benchmarks"]
    ]
    return Results.model_validate(content)


def difference(
    one: Evaluation, other: Evaluation, *, facts: Iterable[str] = tuple(_FACTS)
) -> tuple[str, str | None, str | None] | None:
    """Find the first fact for which two evaluations cannot be compared: its name and both values."""
    for what in facts:
        its, others = _FACTS[what](one), _FACTS[what](other)
        if its != others:
            return what, its, others
    return None


def check_done(evaluation: Evaluation, reader: Caller | None) -> None:
    """Make sure that an evaluation is done.

    Raises:
        Conflict: If it is not.
    """
    if evaluation.state is not EvaluationState.DONE:
        reason = reason_for(evaluation, reader)
        what = f": {reason}" if reason else "; results come when it is done"
        raise Conflict(f"Evaluation {evaluation.id} is {evaluation.state.value}{what}.")
