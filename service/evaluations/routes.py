"""`/v1/evaluations`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from records.models import EvaluationState
from records.repositories import evaluations
from service import auditing
from service.auth import Admin, AnyCaller, Reader
from service.checkpoints import named as checkpoints
from service.checkpoints.named import Among
from service.deps import DatabaseDep, Limit, Offset, Router, SessionDep, SettingsDep
from service.evaluations import again, named, service
from service.evaluations.schemas import (
    EvaluationIn,
    EvaluationOut,
    EvaluationPage,
    ReevaluationIn,
    ReevaluationOut,
    shown,
)
from service.problems import WITH_BODY, responses
from service.references import CHECKPOINT, IS_NAMED, EvaluationNamed
from service.visible import visible_to
from vcp_core.results.types import Results

router = Router(tags=["evaluations"])


@router.post(
    "/evaluations",
    status_code=201,
    responses={
        200: {"model": EvaluationOut, "description": "It was there already"},
        **responses(*WITH_BODY, 404, 409),
    },
    summary="Evaluate a checkpoint",
)
def create(
    body: EvaluationIn, caller: AnyCaller, session: SessionDep, settings: SettingsDep, response: Response
) -> EvaluationOut:
    """Evaluate a checkpoint. If such an evaluation is done or under way, the answer is that one (200)."""
    evaluation, new = service.create(session, body, caller, settings)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/evaluations/{evaluation.id}"
    return service.detail(session, evaluation, caller)


@router.get("/evaluations", responses=responses(404, 409), summary="List evaluations")
def page(
    reader: Reader,
    session: SessionDep,
    state: Annotated[EvaluationState | None, Query(description="Only in this state.")] = None,
    model: Annotated[str | None, Query(description="Only of this model.")] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    dataset: Annotated[
        str | None, Query(description="Only on this dataset: its name, or the fingerprint of its videos.")
    ] = None,
    protocol: Annotated[str | None, Query(description="Only under this protocol: its name or hash.")] = None,
    checkpoint: Annotated[
        str | None, Query(description=f"Only of this checkpoint. {CHECKPOINT}", json_schema_extra=IS_NAMED)
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> EvaluationPage:
    """Evaluations, newest first, with their scores."""
    found, total = evaluations.page(
        session,
        visible=visible_to(reader),
        state=state,
        model=model,
        team=team,
        dataset=dataset,
        protocol=protocol,
        checkpoint_id=checkpoints.id_of(session, checkpoint, Among.seen_by(reader)) if checkpoint else None,
        limit=limit,
        offset=offset,
    )
    scores = evaluations.scores(session, [evaluation.id for evaluation in found])
    return EvaluationPage(
        items=[shown(evaluation, scores=scores[evaluation.id], reader=reader) for evaluation in found],
        total=total,
    )


@router.get("/evaluations/{evaluation_id:named}", responses=responses(404, 409), summary="Show an evaluation")
def show(evaluation_id: EvaluationNamed, reader: Reader, session: SessionDep) -> EvaluationOut:
    """One evaluation: state, progress, and once done its scores."""
    return service.detail(session, named.find(session, evaluation_id, reader, with_results=True), reader)


@router.post(
    "/evaluations/{evaluation_id:named}/cancel",
    responses=responses(403, 404, 409),
    summary="Cancel an evaluation",
)
def cancel(evaluation_id: EvaluationNamed, caller: AnyCaller, session: SessionDep) -> EvaluationOut:
    """Cancel an evaluation. Its features stay, so a new request continues where it stopped."""
    return service.detail(session, service.cancel(session, evaluation_id, caller), caller)


@router.post(
    "/reevaluations",
    status_code=202,
    responses=responses(*WITH_BODY, 403, 404, 409),
    summary="Evaluate a board again",
)
def reevaluate(
    body: ReevaluationIn, caller: Admin, database: DatabaseDep, request: Request
) -> ReevaluationOut:
    """Ask for the evaluations of an older version's board again, at low priority.

    The old results stay where they are.
    """
    return again.reevaluate(
        database, body, note=lambda session: auditing.note(request, session, {"body": body})
    )


@router.get(
    "/evaluations/{evaluation_id:named}/results",
    responses={200: {"model": Results}, **responses(404, 409)},
    response_class=Response,
    summary="Show all results of an evaluation",
)
def results(evaluation_id: EvaluationNamed, reader: Reader, session: SessionDep) -> Response:
    """Everything, per-video predictions and provenance included: the JSON that `vcpbench local` writes."""
    text = service.results(session, evaluation_id, reader).to_json()
    return Response(text, media_type="application/json")
