"""The addresses of a map: its page, its progress, one video of it, and its picture."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from service.auth import Reader
from service.auth import reader as by_token
from service.deps import Router, SessionDep
from service.evaluations import named
from service.references import EvaluationNamed
from service.web import map as maps
from service.web import scatter
from service.web.map import Colour, Wanted, WantedDep
from service.web.pages import HEADERS, render

router = Router(include_in_schema=False, dependencies=[Depends(by_token)])
SVG_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'"}
NOT_KEPT = {"Cache-Control": "no-store"}


@router.get("/evaluations/{evaluation_id:named}/map")
def show_map(
    request: Request, reader: Reader, session: SessionDep, evaluation_id: EvaluationNamed, asked: WantedDep
) -> Response:
    """The test videos of an evaluation in two dimensions, and a list of them."""
    page = maps.page(session, named.find(session, evaluation_id, reader), asked, reader)
    return render(request, "map.html", page=page, limit=maps.LIST, **_choices())


@router.get("/evaluations/{evaluation_id:named}/map/progress")
def show_drawing(
    request: Request, reader: Reader, session: SessionDep, evaluation_id: EvaluationNamed, asked: WantedDep
) -> Response:
    """The part of an unfinished map's page that changes; at its end, the page is loaded anew."""
    page = maps.page(session, named.find(session, evaluation_id, reader), asked, reader)
    headers = {**NOT_KEPT, **({"HX-Refresh": "true"} if page.ended else {})}
    return render(request, "_drawing.html", headers=headers, page=page)


@router.get("/evaluations/{evaluation_id:named}/map/video")
def show_video(
    request: Request, reader: Reader, session: SessionDep, evaluation_id: EvaluationNamed, asked: WantedDep
) -> Response:
    """One video of a map, with its strip: the part of the page that a pointer on the map asks for."""
    line, other = maps.chosen(session, named.find(session, evaluation_id, reader), asked, reader)
    return render(request, "_video.html", headers=NOT_KEPT, line=line, other_title=other)


@router.get("/charts/map.svg")
def draw_map(
    session: SessionDep,
    reader: Reader,
    evaluation: str,
    colour: Colour = Colour.RIGHT,
    against: str | None = None,
    pick: Annotated[list[str] | None, Query(max_length=maps.MOST_OFFERED)] = None,
) -> Response:
    """The map alone, with a legend. With `against`, it begins at the other evaluation's map."""
    found = named.find(session, evaluation, reader)
    asked = Wanted(colour=colour, against=against or None, pick=tuple(pick or ())[: maps.MOST_PICKED])
    title, layers = maps.picture(session, found, asked, reader)
    picture = scatter.alone(layers, f"{title}: {_TITLES[colour]}")
    return Response(picture, media_type="image/svg+xml", headers=SVG_HEADERS)


_TITLES = {
    Colour.RIGHT: "test videos, right or wrong",
    Colour.CLASS: "test videos by class",
    Colour.GROUP: "test videos by group",
}


def _choices() -> dict[str, Any]:
    return {"colours": list(maps.Colour), "shows": list(maps.Show), "most_picked": maps.MOST_PICKED}
