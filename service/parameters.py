"""Refuse query parameters that a route does not declare, or that are given more often than it declares.

If unknown parameters were ignored, a slip would change the result: `&prefx=teacher.` would evaluate the
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
MOST_PROBLEMS = 10  # reported for one request: an address may hold thousands of parameters
# Chat tools, newsletters and advertisements append these to links. The reader did not write them.
TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|gbraid|wbraid|dclid|msclkid|twclid|yclid|igshid|mc_[ce]id|mkt_tok|_hs(enc|mi)"
)


async def known_words(request: Request) -> None:
    """Refuse a query whose parameters are unknown, repeated or empty.

    This is a dependency of the whole application, so every route has it. It reads the route's declaration.
    It runs before the token is checked: /openapi.json lists the parameters anyway.

    Raises:
        InvalidRequest: If there is such a parameter.
    """
    given = request.query_params.multi_items()
    if given:
        problems = _problems(request, given, declared(request.scope["route"]))
        if problems:
            detail = " ".join(problem["message"] for problem in problems)
            raise InvalidRequest(f"{detail} See /docs for what this route takes.", errors=problems)


def declared(route: APIRoute) -> dict[str, bool]:
    """The parameters of a route's query, and whether each may be given more than once."""
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
            # A browser sends every empty field of a form. A program that sends an empty one made a slip.
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
