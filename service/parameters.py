"""Refuse query parameters that a route does not declare, and those that are repeated, empty or hold a NUL.

If unknown parameters were ignored, a slip would change the result: `&prefx=teacher.` would evaluate the
student.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute

from service.forms import NOT_BLANK
from service.problems import InvalidRequest
from vcp_core.catalog.errors import MOST_QUOTED, UnknownName

API = "/v1/"
CALLBACK = "/login/oidc/callback"
_NOT_BLANK = re.compile(NOT_BLANK)
MOST_PROBLEMS = 10  # reported for one request: an address may hold thousands of parameters
# Chat tools, newsletters and advertisements append these to links. The reader did not write them.
TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|gbraid|wbraid|dclid|msclkid|twclid|yclid|igshid|mc_[ce]id|mkt_tok|_hs(enc|mi)"
)


async def known_words(request: Request) -> None:
    """Refuse a query whose parameters are unknown, repeated or empty, and a NUL anywhere in the address.

    This is a dependency of the whole application, so every route has it. It reads the route's declaration.
    It runs before the token is checked: /openapi.json lists the parameters anyway.

    Raises:
        InvalidRequest: If there is such a parameter.
    """
    given = request.query_params.multi_items()
    if request.url.path == CALLBACK:  # a provider adds what it likes, and RFC 6749 4.1.2 says to ignore it
        given = [(name, value) for name, value in given if name in declared(request.scope["route"])]
    places = {name: str(value) for name, value in request.path_params.items()}
    if given or "\x00" in "".join(places.values()):
        problems = _holding_nul("path", places.items())
        problems += _problems(request, given, declared(request.scope["route"]))
        problems += _holding_nul("query", given)
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


def describe(app: FastAPI) -> None:
    """Make the description of the API say what `known_words` demands of texts in queries and paths.

    A parameter is never null either: one that is not needed is left out.
    """
    document = app.openapi

    def openapi() -> dict[str, Any]:
        found = document()
        for item in found["paths"].values():
            for operation in item.values():
                for parameter in operation.get("parameters", []):
                    parameter["schema"] = _as_demanded(parameter["schema"])
        return found

    app.openapi = openapi  # type: ignore[method-assign]


def _as_demanded(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = {**kinds[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    if schema.get("type") == "array":
        return {**schema, "items": _as_demanded(schema["items"])}
    if schema.get("type") == "string" and not {"pattern", "enum", "format"} & set(schema):
        return {**schema, "pattern": NOT_BLANK}
    return schema


def _holding_nul(place: str, given: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [
        {
            "at": f"{place}.{name[:MOST_QUOTED]}",
            "message": f"Parameter {name[:MOST_QUOTED]!r} holds a NUL. Remove it.",
        }
        for name, value in given
        if "\x00" in value
    ][:MOST_PROBLEMS]


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
        elif is_api and any(key == word and _is_blank(value) for key, value in given):
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


def _is_blank(value: str) -> bool:
    """Whether a text is empty by the description of the API. A NUL is another problem."""
    return "\x00" not in value and not _NOT_BLANK.fullmatch(value)
