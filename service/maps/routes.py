"""`/v1/evaluations/ID/map`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from service.auth import Reader
from service.deps import Router, SessionDep
from service.maps import service
from service.maps.schemas import MapOut
from service.problems import responses
from service.references import EVALUATION, IS_NAMED, EvaluationNamed

router = Router(tags=["evaluations"])


@router.get(
    "/evaluations/{evaluation_id:named}/map",
    responses={202: {"model": MapOut, "description": "Not drawn yet"}, **responses(404, 409)},
    summary="Show a map of the test videos",
)
def show_map(
    evaluation_id: EvaluationNamed,
    reader: Reader,
    session: SessionDep,
    response: Response,
    against: Annotated[
        str | None,
        Query(
            description=f"Another evaluation on the same videos, whose map this one begins at. {EVALUATION}",
            json_schema_extra=IS_NAMED,
        ),
    ] = None,
) -> MapOut:
    """The test videos in two dimensions, by the features of retrieval, with the answers.

    The first request has a worker draw the map, and is answered 202. Ask again until it is `done`.
    """
    found = service.ask(session, evaluation_id, against, reader)
    if found.state in ("waiting", "running"):
        response.status_code = 202
    return found
