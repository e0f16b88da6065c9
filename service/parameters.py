"""Which words the query of an address may hold: those that its route declares, each as often as it says.

A word that nobody reads is an option that its sender believes in: `&prefx=teacher.` would evaluate the
student.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute

from service.problems import InvalidRequest
from vcp_core.catalog.errors import MOST_QUOTED, UnknownName

API = "/v1/"
MOST_PROBLEMS = 10  # of one request that are told: an address holds thousands of words
# Chat tools, newsletters and advertisements append these to links: whoever follows one did not write them.
TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|gbraid|wbraid|dclid|msclkid|twclid|yclid|igshid|mc_[ce]id|mkt_tok|_hs(enc|mi)"
)


async def known_words(request: Request) -> None:
    """Refuse a query with a word that the route does not take, or with one of them twice, or left empty.

    A dependency of the whole application, so every route has it, and it derives from the route itself what
    that takes. It comes before the token is looked at: which words a route takes is in /openapi.json, too.

    Raises:
        InvalidRequest: If there is such a word.
    """
    given = request.query_params.multi_items()
    if given:
        problems = _problems(request, given, declared(request.scope["route"]))
        if problems:
            detail = " ".join(problem["message"] for problem in problems)
            raise InvalidRequest(f"{detail} See /docs for what this route takes.", errors=problems)


def declared(route: APIRoute) -> dict[str, bool]:
    """The words of a route's query, and whether each may come more than once."""
    return {
        field.alias: _is_list(field.field_info.annotation)
        for field in get_flat_params(route.dependant)
        if getattr(field.field_info, "in_", None) is ParamTypes.query
    }


def _problems(request: Request, given: list[tuple[str, str]], known: dict[str, bool]) -> list[dict[str, str]]:
    is_api = request.url.path.startswith(API)
    found = []
    for word, number in Counter(word for word, _ in given).items():
        name = word[:MOST_QUOTED]
        if word not in known:
            if not (request.method == "GET" and TRACKING.fullmatch(word)):
                found.append((name, _unknown(request, name, known)))
        elif number > 1 and not known[word]:
            found.append((name, f"Parameter {name!r} is given {number} times. Give it once."))
        elif is_api and any(key == word and not value.strip() for key, value in given):
            # On pages an empty field of a form is one that was left out; a program means something by it.
            found.append((name, f"Parameter {name!r} is empty. Give it a value, or leave it out."))
        if len(found) == MOST_PROBLEMS:
            break
    return [{"at": f"query.{name}", "message": message} for name, message in found]


def _unknown(request: Request, name: str, known: dict[str, bool]) -> str:
    if not known:
        return f"No parameter {name!r}: {request.method} {request.url.path[:MOST_QUOTED]} takes none."
    return str(UnknownName("parameter", name, known))


def _is_list(annotation: Any) -> bool:
    """Whether a value of this type may be a list: `list[str] | None` is one."""
    kinds = {annotation, get_origin(annotation)} | {get_origin(one) or one for one in get_args(annotation)}
    return list in kinds
