"""`/v1/comparisons`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.auth import Reader
from service.comparisons import service
from service.comparisons.schemas import ComparisonOut
from service.deps import DatabaseDep
from service.problems import responses
from service.references import EVALUATION

router = APIRouter(tags=["evaluations"])


@router.get(
    "/comparisons",
    responses={202: {"model": ComparisonOut, "description": "Not made yet"}, **responses(404, 409, 429)},
    summary="Compare two evaluations",
)
def comparison(
    reader: Reader,
    database: DatabaseDep,
    response: Response,
    first: Annotated[str, Query(description=f"An evaluation. {EVALUATION}")],
    second: Annotated[str, Query(description="Another on the same videos under the same protocol.")],
) -> ComparisonOut:
    """Paired differences with intervals: the second's scores less the first's.

    The first request has a worker compare them, and is answered 202. Ask again until it is `done`.
    """
    found = service.ask(database, first, second, reader)
    if found.state in ("waiting", "running"):
        response.status_code = 202
    return found
