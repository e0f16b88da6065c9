"""Log in with a token, log out, choose light or dark. writing.py has the forms that change something."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from records.repositories import sign_ins, tokens
from service.auth import COOKIE, count_address, why_refused
from service.deps import Router, SessionDep
from service.problems import Forbidden
from service.web.pages import THEME, THEMES, public_url, render

router = Router(include_in_schema=False)
A_YEAR_S = 365 * 24 * 3600


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form on one of this site's own pages.

    Raises:
        Forbidden: If another site sends it.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form came from another site. Open the page here and send it again.")
    body = await request.body()
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


Form = Annotated[dict[str, str], Depends(_form)]


def local(path: str) -> str:
    """Return a path of this site. Two slashes or backslashes at its beginning would lead to another site."""
    safe = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if safe else "/"


def _back(form: dict[str, str]) -> RedirectResponse:
    return RedirectResponse(local(form.get("next", "/")), status_code=303)


def keep(request: Request, response: Response, secret: str, *, lasts_s: int) -> None:
    """Keep a token or a sign-in in a cookie that scripts cannot read and that other sites cannot use."""
    secure = public_url(request).startswith("https:")
    response.set_cookie(COOKIE, secret, max_age=lasts_s, httponly=True, samesite="strict", secure=secure)


@router.get("/login")
def login(request: Request, next: str = "/") -> Response:
    """Ask for a token."""
    return render(request, "login.html", next_path=local(next), problem=None, hint="")


@router.post("/login")
def log_in(request: Request, form: Form, session: SessionDep) -> Response:
    """Keep the token in the browser's cookie."""
    count_address(request)
    secret = form.get("token", "").strip()
    if not secret.isascii() or tokens.find(session, secret) is None:
        problem = {"detail": why_refused(request, secret), "status": 401}
        next_path = local(form.get("next", "/"))
        return render(request, "login.html", status=401, next_path=next_path, problem=problem, hint="")
    response = _back(form)
    keep(request, response, secret, lasts_s=A_YEAR_S)
    return response


@router.post("/logout")
def log_out(request: Request, form: Form, session: SessionDep) -> Response:
    """Delete the cookie, and the sign-in that it belongs to. A token stays valid for whoever else has it."""
    sign_ins.end(session, request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.post("/theme")
def choose_theme(form: Form) -> Response:
    """Keep the reader's choice of light or dark, which goes before the system's."""
    response = _back(form)
    if form.get("theme") in THEMES:
        response.set_cookie(THEME, form["theme"], max_age=A_YEAR_S, httponly=True, samesite="lax")
    return response
