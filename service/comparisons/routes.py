"""`/v1/comparisons`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from service.auth import Reader
from service.comparisons import service
from service.comparisons.schemas import ComparisonOut
from service.deps import Router, SessionDep
from service.problems import responses
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
