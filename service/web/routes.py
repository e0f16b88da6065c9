"""The pages. A page with results needs the same right to read as the API."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from records.models import EvaluationState, JobState
from records.repositories import evaluations
from records.repositories import models as known_models
from service.answers.wanted import WantedDep
from service.auth import Reader
from service.auth import reader as by_token
from service.checkpoints.named import Among
from service.datasets import service as datasets
from service.deps import Router, SessionDep, SettingsDep, StorageDep
from service.evaluations import named
from service.evaluations.schemas import shown
from service.models.schemas import shown as model_out
from service.protocols import service as protocols
from service.references import EvaluationNamed
from service.visible import visible_to
from service.web import (
    comparison,
    deleting,
    errors,
    evaluation,
    gallery,
    hooks,
    leaderboard,
    many,
    map_routes,
    models,
    naming,
    operating,
    pictures,
    session,
    shared,
    signing_in,
    sizes,
    submitting,
    tokens,
    uploading,
    writing,
)
from service.web.pages import STATIC, Static, model_path, public_url, render
from service.web.parameters import FACTS, ParametersDep
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL
from vcp_core.catalog.reported import reported_rows

router = Router(include_in_schema=False, dependencies=[Depends(by_token)])
open_router = APIRouter(include_in_schema=False)
LIST = 50  # evaluations of a page
MOST_TAGS = 100  # to choose from on the page of models; the most used ones
HTTP_PARTS = {"Cache-Control": "no-store"}


def install(app: FastAPI) -> None:
    """Give the application its pages."""
    app.include_router(session.router)
    app.include_router(signing_in.router)
    app.include_router(open_router)
    app.include_router(router)
    app.include_router(many.router)
    app.include_router(pictures.router)
    app.include_router(map_routes.router)
    app.include_router(uploading.router)
    app.include_router(writing.router)
    app.include_router(tokens.router)
    app.include_router(operating.router)
    app.include_router(hooks.router)
    app.include_router(deleting.router)
    app.include_router(shared.router)
    app.include_router(sizes.router)
    app.mount("/static", Static(directory=STATIC), name="static")
    errors.install(app)


@router.get("/")
def show_board(request: Request, reader: Reader, session: SessionDep, wanted: ParametersDep) -> Response:
    """Finished evaluations of one dataset and protocol."""
    found = leaderboard.show(session, wanted, reader)
    if found is None:
        return render(request, "welcome.html", url=_url(request))
    reported = reported_rows(found.shown.own_name or found.shown.dataset)
    return render(
        request,
        "leaderboard.html",
        board=found,
        parameters=found.parameters,
        reported=reported,
        facts=FACTS,
        views=writing.views_of(session, reader, "/"),
    )


@router.get("/evaluations")
def list_evaluations(
    request: Request,
    reader: Reader,
    session: SessionDep,
    state: EvaluationState | None = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Response:
    """All evaluations, newest first, in any state."""
    found, total = evaluations.page(
        session, visible=visible_to(reader), state=state, limit=LIST, offset=offset
    )
    return render(
        request,
        "evaluations.html",
        found=[shown(one, reader=reader) for one in found],
        total=total,
        state=state,
        states=list(EvaluationState),
        offset=offset,
        limit=LIST,
    )


@router.get("/evaluations/{evaluation_id:named}")
def show_evaluation(
    request: Request,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    evaluation_id: EvaluationNamed,
) -> Response:
    """One evaluation. A name such as `MODEL@latest` redirects to the id, which always means the same one."""
    found = named.find(session, evaluation_id, reader, with_results=True)
    if evaluation_id != str(found.id):
        return RedirectResponse(f"/evaluations/{found.id}", status_code=302)
    page = evaluation.page(session, found, reader, storage=storage, settings=settings)
    names = naming.of_evaluation(session, found, reader)
    return render(request, "evaluation.html", url=_url(request), names=names, **_parts(page))


@router.get("/evaluations/{evaluation_id:named}/progress")
def show_progress(
    request: Request,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    evaluation_id: EvaluationNamed,
) -> Response:
    """The part of an unfinished evaluation's page that changes; at its end, the page is loaded anew."""
    found = named.find(session, evaluation_id, reader, with_results=True)
    page = evaluation.page(session, found, reader, storage=storage, settings=settings)
    headers = {**HTTP_PARTS, **({"HX-Refresh": "true"} if page.shown.state.ended else {})}
    return render(request, "_live.html", headers=headers, **_parts(page))


@router.get("/evaluations/{evaluation_id:named}/gallery")
def show_gallery(
    request: Request,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    evaluation_id: EvaluationNamed,
    wanted: WantedDep,
) -> Response:
    """The videos behind a number: right and wrong, by how sure the network was."""
    page = gallery.page(session, storage, evaluation_id, wanted, reader)
    return render(request, "gallery.html", **gallery.values(page))


def _parts(page: evaluation.Page) -> dict[str, Any]:
    return {"page": page, "steps": evaluation.STEPS, "count": evaluation.count, "JobState": JobState}


@router.get("/models")
def list_models(
    request: Request,
    reader: Reader,
    session: SessionDep,
    name: str | None = None,
    team: str | None = None,
    tag: str | None = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Response:
    """Models, the one with the newest checkpoint first. `name` is a part of a name."""
    among = Among.seen_by(reader).where
    wanted = {key: value for key, value in (("name", name), ("team", team), ("tag", tag)) if value}
    found, total = known_models.page(session, among=among, **wanted, limit=LIST, offset=offset)
    return render(
        request,
        "models.html",
        found=[model_out(one) for one in found],
        total=total,
        name=name,
        team=team,
        tag=tag,
        tags=known_models.used_tags(session, among, MOST_TAGS),
        views=writing.views_of(session, reader, "/models"),
        wanted=wanted,
        offset=offset,
        limit=LIST,
    )


@router.get("/models/{path:path}")
def show_model(
    request: Request,
    reader: Reader,
    session: SessionDep,
    path: str,
    course: Annotated[int, Query(ge=0, le=10_000)] = 0,
    metric: str = "",
) -> Response:
    """One model: checkpoints, evaluations, and the course of its training. A former name redirects to it."""
    page = models.page(session, path, models.Wanted(course=course, metric=metric or None), reader)
    if path != f"{page.team}/{page.name}":
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(model_path(page.team, page.name) + query, status_code=302)
    return render(request, "model.html", page=page)


@router.get("/compare")
def compare(
    request: Request,
    reader: Reader,
    session: SessionDep,
    wanted: many.WantedDep,
    first: str = "",
    second: str = "",
) -> Response:
    """Two evaluations in pairs, or many. The board's form sends each ticked row as `evaluation`."""
    chosen = wanted.evaluation
    if len(chosen) > 2 or (len(chosen) == 2 and wanted.baseline):
        return many.show(request, session, wanted, reader)
    if len(chosen) == 2:
        query = urlencode({"first": chosen[0], "second": chosen[1]})
        return RedirectResponse(f"/compare?{query}", status_code=303)
    if not first or not second:
        return render(request, "choose.html", num_chosen=len(chosen), status=422 if chosen else 200)
    page = comparison.page(session, first, second, reader)
    names = naming.of_comparison(session, page.shown.first.id, page.shown.second.id, reader)
    views = writing.views_of(session, reader, "/compare")
    more: dict[str, Any] = {"verdict": comparison.verdict, "tests": comparison.TESTS}
    return render(request, "compare.html", page=page, names=names, views=views, **more)


@router.get("/compare/progress")
def show_comparing(
    request: Request, reader: Reader, session: SessionDep, first: str, second: str
) -> Response:
    """The part of an unfinished comparison's page that changes; at its end, the page is loaded anew."""
    page = comparison.page(session, first, second, reader)
    headers = {**HTTP_PARTS, **({"HX-Refresh": "true"} if page.ended else {})}
    return render(request, "_comparing.html", headers=headers, page=page)


@router.get("/submit")
def submit(
    request: Request,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    dataset: str = "",
    protocol: str = "",
    backbone: str = "",
) -> Response:
    """How to submit, with this server's address, and what an evaluation would take."""
    known, (names, num_protocols) = datasets.known(session), protocols.names(session)
    chosen = submitting.Choice(
        dataset=dataset or next(iter(known), DEFAULT_DATASET),
        protocol=protocol or DEFAULT_PROTOCOL,
        backbone=backbone,
    )
    return render(
        request,
        "submit.html",
        url=_url(request),
        datasets=known,
        protocols=names,
        more_protocols=num_protocols - len(names),
        backbones=list(BACKBONES),
        chosen=chosen,
        estimate=submitting.estimate(session, storage, settings, chosen, reader),
        max_bytes=settings.max_upload_bytes,
    )


@open_router.get("/docs")
def show_reference(request: Request) -> Response:
    """Every route of the API, to read and to try; as open as /openapi.json, from which it is drawn."""
    return render(request, "reference.html")


@open_router.get("/openapi.json")
def show_description(request: Request) -> Response:
    """The description of every route of the API, for programs."""
    return JSONResponse(request.app.openapi())


def _url(request: Request) -> str:
    return public_url(request)
