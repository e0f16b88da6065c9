"""The forms of pages that change something: notes, names, privacy, links, views, tokens, webhooks and more.

A form is taken only from a page of this site (`service.web.session.Form`), and only with the key of the
browser's own token. No other site knows that key, and the cookie of the token goes to this site only.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from records.models import SavedView
from records.repositories import names, views
from service import wording
from service.aliases import service as aliases
from service.aliases.schemas import AliasName
from service.auth import COOKIE, Caller, bearer_of, form_key
from service.deps import Router, SessionDep, SettingsDep
from service.models import service as models
from service.models.schemas import PrivateIn, RenameIn, TagsIn
from service.notes import service as notes
from service.notes.schemas import NoteIn
from service.problems import Forbidden, InvalidRequest, Unauthorised
from service.shares import service as shares
from service.shares.schemas import ShareIn
from service.tokens import service as tokens
from service.tokens.schemas import TokenIn
from service.views import service as saved
from service.views.schemas import ViewIn
from service.web.pages import model_path, public_url, render
from service.web.session import Form, local
from service.webhooks import service as webhooks
from service.webhooks.schemas import KINDS, WebhookIn
from service.webhooks.schemas import shown as webhook_out

router = Router(prefix="/forms", include_in_schema=False)
T = TypeVar("T", bound=BaseModel)
PRIVATE = {"Cache-Control": "no-store"}


def _sender(request: Request, form: Form) -> Caller:
    """Identify the sender of a form by the browser's cookie.

    Raises:
        Unauthorised: If nobody is logged in.
        Forbidden: If the form is of no page that this browser loaded here.
    """
    secret = request.cookies.get(COOKIE)
    found = bearer_of(request, secret) if secret else None
    if secret is None or found is None:
        raise Unauthorised("This form needs a login. Log in, and send the form again.")
    if not hmac.compare_digest(form.get("key", "").encode(), form_key(secret).encode()):
        raise Forbidden("This form is of another login. Load its page again, and send it again.")
    return found


Sender = Annotated[Caller, Depends(_sender)]


@router.post("/note")
def write_note(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Write a note on an evaluation, or change or delete the note that is named."""
    if "note" not in form:
        text = checked(request, NoteIn, text=form.get("text", "")).text
        found = notes.write(session, form.get("evaluation", ""), text, sender)
    elif "delete" in form:
        found = notes.delete(session, _id(form, "note"), sender)
    else:
        text = checked(request, NoteIn, text=form.get("text", "")).text
        found = notes.change(session, _id(form, "note"), text, sender)
    return back(f"/evaluations/{found.evaluation_id}#notes")


@router.post("/tags")
def write_tags(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Give a model exactly these tags."""
    wanted = set(form.get("tags", "").replace(",", " ").split())
    model = models.find(session, form.get("model", ""), sender)
    before = set(names.tags(session, [model.id]).get(model.id, []))
    change = checked(
        request,
        TagsIn,
        model=f"{model.team}/{model.name}",
        add=sorted(wanted - before),
        remove=sorted(before - wanted),
    )
    models.change_tags(session, change, sender)
    return back(model_path(model.team, model.name))


@router.post("/rename")
def rename(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Give a model another name."""
    wanted = checked(request, RenameIn, model=form.get("model", ""), name=form.get("name", ""))
    found = models.rename(session, wanted.model, wanted.name, sender)
    return back(model_path(found.team, found.name))


@router.post("/private")
def make_private(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Make a model private or public."""
    private = form.get("private") == "true"
    wanted = checked(request, PrivateIn, model=form.get("model", ""), private=private)
    found = models.set_private(session, wanted, sender)
    return back(model_path(found.team, found.name))


@router.post("/alias")
def point(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Point an alias at a checkpoint, or remove it."""
    name = form.get("name", "").strip().removeprefix("@")
    if "delete" in form:
        aliases.remove(session, name, form.get("team"), sender)
    else:
        try:
            TypeAdapter(AliasName).validate_python(name)
        except ValidationError as error:
            raise _invalid(request, error, "name") from None
        aliases.point(session, name, form.get("checkpoint", ""), sender)
    return back(form.get("next", "/"))


@router.post("/share")
def share(
    request: Request, form: Form, sender: Sender, session: SessionDep, settings: SettingsDep
) -> Response:
    """Make a link and show it once, or revoke the link that is named."""
    if "share" in form:
        shares.revoke(session, _id(form, "share"), sender)
        return back(form.get("next", "/"))
    given = {key: form[key] for key in ("evaluation", "against") if form.get(key)}
    wanted = checked(request, ShareIn, **given, days=_number(form.get("days", "")))
    found, secret = shares.create(session, wanted, sender, settings.share_links_days)
    address = shares.address(request, secret)
    more: dict[str, Any] = {"share": found, "back": local(form.get("next", "/"))}
    return render(request, "shared_now.html", headers=PRIVATE, address=address, secret=secret, **more)


@router.post("/view")
def save_view(request: Request, form: Form, sender: Sender, session: SessionDep) -> Response:
    """Save the address of a page under a name, or delete the view that is named."""
    if "view" in form:
        saved.delete(session, _id(form, "view"), sender)
    else:
        view = checked(request, ViewIn, name=form.get("name", ""), address=form.get("next", ""))
        saved.save(session, view, sender)
    return back(form.get("next", "/"))


@router.post("/token")
def token(
    request: Request, form: Form, sender: Sender, session: SessionDep, settings: SettingsDep
) -> Response:
    """Make a token and show it once, or revoke the token that is named."""
    if "token_id" in form:
        tokens.revoke(session, _id(form, "token_id"), sender)
        return back(form.get("next", "/tokens"))
    given: dict[str, object] = {key: form[key] for key in ("name", "role", "team") if form.get(key)}
    if form.get("expires_days"):
        given["expires_days"] = _number(form["expires_days"])
    wanted = checked(request, TokenIn, **given)
    made, secret = tokens.create(session, wanted, sender, settings.token_days)
    more: dict[str, Any] = {"token": made, "secret": secret, "url": public_url(request)}
    more["back"] = local(form.get("next", "/tokens"))
    return render(request, "token_now.html", headers=PRIVATE, **more)


@router.post("/webhook")
def write_webhook(
    request: Request, form: Form, sender: Sender, session: SessionDep, settings: SettingsDep
) -> Response:
    """Make a webhook and show its secret once. Or test or delete the webhook that is named."""
    if "webhook" not in form:
        kinds = [kind for kind in KINDS if kind in form]
        wanted = checked(
            request, WebhookIn, url=form.get("url", "").strip(), kinds=kinds, form=form.get("form", "")
        )
        found = webhooks.create(session, wanted, sender, settings)
        return render(
            request, "webhook_now.html", headers=PRIVATE, hook=webhook_out(found), secret=found.secret
        )
    if "delete" in form:
        webhooks.delete(session, _id(form, "webhook"), sender)
        return back("/webhooks")
    found = webhooks.test(session, _id(form, "webhook"), sender).webhook
    return back(f"/webhooks#hook-{found.id}")


@router.post("/delivery")
def redeliver(form: Form, sender: Sender, session: SessionDep) -> Response:
    """Send a delivery of a webhook that has ended once more."""
    webhook_id = _id(form, "webhook")
    webhooks.redeliver(session, webhook_id, _id(form, "delivery"), sender)
    return back(f"/webhooks#hook-{webhook_id}")


def views_of(session: Session, reader: Caller | None, page: str) -> Sequence[SavedView]:
    """The views of a page that the reader's team saved."""
    return [] if reader is None else views.of_team(session, reader.team, page)


def back(path: str) -> Response:
    """Lead the browser back to a page of this site."""
    return RedirectResponse(local(path), status_code=303)


def _id(form: dict[str, str], field: str) -> UUID:
    try:
        return UUID(form.get(field, ""))
    except ValueError:
        raise InvalidRequest(
            f"Field {field!r} is no id. Load the page again, and send the form again."
        ) from None


def _number(text: str) -> int | str:
    """A number that was typed. Other text stays as it is, for the message that refuses it."""
    return int(text) if text.isdecimal() and len(text) < 6 else text


def checked(request: Request, kind: type[T], **values: object) -> T:
    """The fields of a form as the API would take them.

    Raises:
        InvalidRequest: If a field is not valid.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _invalid(request, error) from None


def _invalid(request: Request, error: ValidationError, *at: str) -> InvalidRequest:
    errors = error.errors(include_url=False)
    for one in errors:
        one["loc"] = ("body", *at, *one["loc"])
    found = wording.problems(errors, request.scope["route"].dependant)
    return InvalidRequest(" ".join(one["message"] for one in found), errors=found)
