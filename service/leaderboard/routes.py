"""`/v1/leaderboard`, and the same rows as CSV and as tables for papers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from service.auth import Reader
from service.deps import Limit, Offset, Router, SessionDep
from service.leaderboard.papers import latex, markdown
from service.leaderboard.schemas import Board
from service.leaderboard.service import leaderboard_page, to_csv
from service.problems import responses
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL

router = Router(tags=["leaderboard"])


def _board(
    reader: Reader,
    session: SessionDep,
    dataset: Annotated[
        str, Query(description="Its name, or the fingerprint of its videos.", examples=["playground-136"])
    ],
    protocol: Annotated[str, Query(description="Its name or hash.")] = DEFAULT_PROTOCOL,
    engine: Annotated[
        str | None,
        Query(
            description="The engine that made the results; by default this version's, else the newest there."
        ),
    ] = None,
    sort: Annotated[
        str,
        Query(
            description="A metric, `created_at`, `finished_at`, `model` or `step`; "
            "`-` before it: largest first."
        ),
    ] = "-recognition.top1",
    metric: Annotated[
        list[str] | None, Query(description="Columns, one parameter each; headlines if left out.")
    ] = None,
    model: Annotated[str | None, Query(description="Only models whose name contains this.")] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    backbone: Annotated[str | None, Query(description="Only of this backbone.")] = None,
    run: Annotated[str | None, Query(description="Only of this training run.")] = None,
    latest: Annotated[bool, Query(description="Only every model's newest checkpoint.")] = False,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Board:
    return leaderboard_page(
        session,
        reader,
        dataset=dataset,
        protocol=protocol,
        engine=engine,
        sort=sort,
        metrics=tuple(metric or ()),
        limit=limit,
        offset=offset,
        model=model,
        team=team,
        backbone=backbone,
        run=run,
        latest=latest,
    )


BoardDep = Annotated[Board, Depends(_board)]


@router.get("/leaderboard", responses=responses(404), summary="Show a leaderboard")
def as_json(found: BoardDep) -> Board:
    """Finished evaluations of one dataset and one protocol, with random weights beside them."""
    return found


@router.get(
    "/leaderboard.csv",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **responses(404)},
    response_class=Response,
    summary="Download a leaderboard",
)
def as_csv(found: BoardDep) -> Response:
    """The same rows as CSV, by the same parameters."""
    return Response(to_csv(found), media_type="text/csv; charset=utf-8")


# Plain text, so that a browser shows the table instead of a download.
TABLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
    **responses(404),
}


@router.get(
    "/leaderboard.md", responses=TABLE, response_class=Response, summary="Show a leaderboard as Markdown"
)
def as_markdown(found: BoardDep) -> Response:
    """The same rows as a Markdown table with intervals.

    A number is bold only if its interval lies beyond those of all other rows.
    """
    return Response(markdown(found), media_type="text/plain; charset=utf-8")


@router.get(
    "/leaderboard.tex", responses=TABLE, response_class=Response, summary="Show a leaderboard as LaTeX"
)
def as_latex(found: BoardDep) -> Response:
    """The same rows as a LaTeX table with intervals. It needs the package booktabs."""
    return Response(latex(found), media_type="text/plain; charset=utf-8")
