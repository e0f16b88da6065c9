"""`/v1/comparisons`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from service.auth import AnyCaller, Reader
from service.comparisons import many, service
from service.comparisons.many_schemas import ManyIn, ManyOut
from service.comparisons.schemas import ComparisonOut
from service.deps import Router, SessionDep
from service.problems import WITH_BODY, responses
from service.references import EVALUATION, IS_NAMED

router = Router(tags=["evaluations"])


@router.get(
    "/comparisons",
    responses={202: {"model": ComparisonOut, "description": "Not made yet"}, **responses(404, 409)},
    summary="Compare two evaluations",
)
def comparison(
    reader: Reader,
    session: SessionDep,
    response: Response,
    first: Annotated[str, Query(description=f"An evaluation. {EVALUATION}", json_schema_extra=IS_NAMED)],
    second: Annotated[
        str,
        Query(description="Another on the same videos under the same protocol.", json_schema_extra=IS_NAMED),
    ],
) -> ComparisonOut:
    """Paired differences with intervals: the second's scores less the first's.

    The first request has a worker compare them, and is answered 202. Ask again until it is `done`.
    """
    found = service.ask(session, first, second, reader)
    if found.state in ("waiting", "running"):
        response.status_code = 202
    return found


@router.post(
    "/comparisons",
    responses={202: {"model": ManyOut, "description": "Not made yet"}, **responses(*WITH_BODY, 404, 409)},
    summary="Compare many evaluations",
)
def compare_many(body: ManyIn, caller: AnyCaller, session: SessionDep, response: Response) -> ManyOut:
    """Paired differences of 2 to 50 evaluations from a baseline, and of all pairs, adjusted by Holm's method.

    The first request has a worker compare them, and is answered 202. Then `GET /v1/comparisons/{id}` shows
    the progress. The comparison is kept, whatever the order of the evaluations.
    """
    found = many.detail(session, many.ask(session, body.evaluations, body.baseline, caller), caller)
    response.headers["Location"] = f"/v1/comparisons/{found.id}"
    if found.state in ("waiting", "running"):
        response.status_code = 202
    return found


@router.get(
    "/comparisons/{comparison_id}",
    responses=responses(404),
    summary="Show a comparison of many evaluations",
)
def show_many(comparison_id: UUID, reader: Reader, session: SessionDep) -> ManyOut:
    """State, progress, and once done the differences."""
    return many.detail(session, many.find(session, comparison_id, reader), reader)


@router.post(
    "/comparisons/{comparison_id}/cancel",
    responses=responses(403, 404, 409),
    summary="Cancel a comparison of many evaluations",
)
def cancel_many(comparison_id: UUID, caller: AnyCaller, session: SessionDep) -> ManyOut:
    """End a comparison that is under way. Nothing of it is kept. Only the team that asked for it may."""
    found = many.cancel(session, comparison_id, caller)
    return many.progress(session, found, caller).model_copy(update={"state": "cancelled"})
