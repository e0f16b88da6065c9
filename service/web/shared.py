"""`/shared/SECRET`: one page without a token, and the charts of this page. The secret opens nothing else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session

from records.models import Evaluation, Share
from records.repositories import comparisons, evaluations, shares
from records.repositories.visibility import EVERYTHING
from records.settings import Settings
from records.storage import Storage
from service.auth import count_address
from service.comparisons.service import compare
from service.deps import Router, SessionDep, SettingsDep, StorageDep
from service.web import comparison, evaluation, svg
from service.web.pages import HEADERS, render
from vcp_core.scoring.stored_comparison import COMPARED_VERSION

router = Router(include_in_schema=False)
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is the secret, and no other site shall be told it
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}
SVG_HEADERS = {**HEADERS, **PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'"}


@router.get("/shared/{secret}")
def show(
    request: Request, session: SessionDep, storage: StorageDep, settings: SettingsDep, secret: str
) -> Response:
    """The page that a link shares, as a reader without a token sees it."""
    count_address(request)
    share = shares.opened_by(session, secret)
    if share is None or not settings.share_links_days:
        return _gone(request)
    if share.deleted_at is not None:
        at = share.deleted_at
        return render(request, "shared_gone.html", status=410, headers=PAGE_HEADERS, deleted_at=at)
    chart = f"/shared/{secret}/chart.svg"
    more: dict[str, Any] = {"shared": {"chart": chart, "until": share.expires_at}}
    if share.second_id is None:
        template = "shared_evaluation.html"
        more["page"] = _evaluation(session, share, storage, settings)
    else:
        template = "shared_comparison.html"
        more |= {"verdict": comparison.verdict, "tests": comparison.TESTS}
        more["page"] = _comparison(session, share)
        if more["page"] is None:
            return render(request, "shared_unmade.html", headers=PAGE_HEADERS, **more)
    return render(request, template, headers=PAGE_HEADERS, **more)


@router.get("/shared/{secret}/chart.svg")
def draw(
    request: Request, session: SessionDep, storage: StorageDep, settings: SettingsDep, secret: str
) -> Response:
    """The chart of the page that a link shares."""
    count_address(request)
    share = shares.opened_by(session, secret)
    if share is None or share.deleted_at is not None or not settings.share_links_days:
        return _gone(request)
    if share.second_id is None:
        shown = _evaluation(session, share, storage, settings)
        chart = shown.finished.profile if shown.finished and shown.finished.options else None
        title = f"{shown.title}: recall of each option"
    else:
        compared = _comparison(session, share)
        if compared is None:
            return _gone(request)
        chart = compared.chart if compared.shown.state == "done" else None
        title = f"{compared.second_title} less {compared.first_title}"
    if chart is None:
        return _gone(request)
    return Response(svg.chart(chart, title), media_type="image/svg+xml", headers=SVG_HEADERS)


def _evaluation(session: Session, share: Share, storage: Storage, settings: Settings) -> evaluation.Page:
    assert share.evaluation_id is not None  # what it opens was not deleted
    found = _found(session, share.evaluation_id)
    return evaluation.page(session, found, None, storage=storage, settings=settings)


def _found(session: Session, evaluation_id: UUID) -> Evaluation:
    """An evaluation of the page. Its model may be private: the team made the link."""
    found = evaluations.get(session, evaluation_id, EVERYTHING, with_results=True)
    assert found is not None  # the link goes with its evaluations
    return found


def _comparison(session: Session, share: Share) -> comparison.Page | None:
    """The page of the comparison; None if this version has not made it, for a link starts no work."""
    assert share.evaluation_id is not None
    assert share.second_id is not None
    if comparisons.find(session, share.evaluation_id, share.second_id, version=COMPARED_VERSION) is None:
        return None
    first, second = _found(session, share.evaluation_id), _found(session, share.second_id)
    return comparison.of(session, compare(session, first, second, None))


def _gone(request: Request) -> Response:
    """One answer for an unknown, an expired and a revoked link: a guess learns nothing from it."""
    return render(request, "shared_gone.html", status=404, headers=PAGE_HEADERS, deleted_at=None)
