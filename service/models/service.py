"""Find the model that a request names, rename it, change its tags, and make it private or public."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from records import flow
from records.models import Model
from records.repositories import checkpoints, models, names
from service.auth import Caller
from service.checkpoints.named import Among
from service.models.schemas import MAX_TAGS, NamedOut, PrivateIn, TagsIn
from service.problems import Conflict, NotFound
from service.references import Latest
from vcp_core.catalog.validation import quoted

log = structlog.get_logger("vcpbench.service")
MAX_FORMER_NAMES = 20  # of a model; each one is taken from the team for good


def find(session: Session, wanted: str, caller: Caller) -> Model:
    """Find a model that the caller may change: one of the own team, or any for an administrator.

    Raises:
        NotFound: If there is none.
    """
    called = [(caller.team, wanted), *Latest(model=wanted).teams]
    found = checkpoints.first_model(session, called, Among.usable_by(caller).where)
    if found is None:
        raise NotFound(f"Team {caller.team!r} has no model {quoted(wanted)}. List them: GET /v1/models.")
    return found


def named(session: Session, model: Model) -> NamedOut:
    """The model's names and tags for a client, and who sees it."""
    return NamedOut(
        name=model.name,
        team=model.team,
        former_names=names.former(session, [model.id]).get(model.id, []),
        tags=names.tags(session, [model.id]).get(model.id, []),
        private=model.private,
    )


def rename(session: Session, wanted: str, name: str, caller: Caller) -> Model:
    """Give a model another name. Its old name still leads to it, and no other model gets it.

    Raises:
        NotFound: If the caller may change no such model.
        Conflict: If another model of the team has the new name or had it, or the model had too many names.
    """
    flow.lock(session)  # an upload under the new name at the same time would make a second model of this name
    model = find(session, wanted, caller)
    if model.name == name:
        return model
    other = names.owner(session, model.team, name)
    if other is not None and other.id != model.id:
        raise _taken(other, name)
    before = names.former(session, [model.id]).get(model.id, [])
    if len(before) >= MAX_FORMER_NAMES and name not in before:
        raise Conflict(
            f"Model {model.name!r} has had {len(before)} other names, and {MAX_FORMER_NAMES} are allowed. "
            "Each of them still leads to it. Take one of them again."
        )
    names.rename(session, model, name, by=caller.name)
    return model


def _taken(other: Model, name: str) -> Conflict:
    if other.name == name:
        return Conflict(f"Team {other.team!r} has another model {name!r}. Choose another name.")
    return Conflict(
        f"{name!r} is a former name of model {other.name!r} of team {other.team!r}, and still leads there. "
        "Choose another name."
    )


def change_tags(session: Session, wanted: TagsIn, caller: Caller) -> Model:
    """Add tags to a model, and remove tags from it.

    Raises:
        NotFound: If the caller may change no such model.
        Conflict: If a tag is to be added and removed, or the model would have too many tags.
    """
    flow.lock(session)  # two requests at the same time count the model's tags one after the other
    model = find(session, wanted.model, caller)
    both = sorted({*wanted.add} & {*wanted.remove})
    if both:
        raise Conflict(f"Tag {both[0]!r} is to be added and removed. Leave one of the two out.")
    names.remove_tags(session, model, wanted.remove, by=caller.name)
    names.add_tags(session, model, wanted.add, by=caller.name)
    number = len(names.tags(session, [model.id]).get(model.id, []))
    if number > MAX_TAGS:
        raise Conflict(
            f"Model {model.name!r} would have {number} tags, and {MAX_TAGS} are allowed. Remove some first."
        )
    return model


def set_private(session: Session, wanted: PrivateIn, caller: Caller) -> Model:
    """Make a model private or public.

    Raises:
        NotFound: If the caller may change no such model.
    """
    flow.lock(session)  # readers' caches go by the time of the last change, so these times must ascend
    model = find(session, wanted.model, caller)
    if model.private != wanted.private:
        models.set_private(session, model, wanted.private)
        now = "private" if model.private else "public"
        log.info(f"model made {now}", model=str(model.id), team=model.team, by=caller.name)
    return model
