"""Describe an invalid request in sentences: the field, its value, and what the value must be.

The validator's own messages never reach a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from service.forms import FORMS
from vcp_core.catalog.errors import MOST_QUOTED, UnknownName
from vcp_core.catalog.validation import expected, objection, quoted

PLACES = {"query": "Parameter", "path": "Parameter", "header": "Header", "cookie": "Cookie"}
MOST_PROBLEMS = 10  # reported for one request: a body may hold thousands of fields
SEND_JSON = "Send a JSON object, with `Content-Type: application/json`."


def problems(errors: Sequence[ErrorDetails], dependant: Dependant) -> list[dict[str, str]]:
    """Return the place (`query.limit`, `body.step`) of each error and a sentence, for the first ten."""
    told = errors[:MOST_PROBLEMS]
    return [{"at": _place(error), "message": _sentence(error, dependant)} for error in told]


def _place(error: ErrorDetails) -> str:
    return ".".join(str(part)[:MOST_QUOTED] for part in error["loc"])


def _sentence(error: ErrorDetails, dependant: Dependant) -> str:
    where, *rest = error["loc"]
    if error["type"] == "json_invalid":
        return f"The body is not JSON: it cannot be read from character {rest[0]} on."
    if not rest:
        missing = error["type"] == "missing"
        return f"The body is {'missing' if missing else quoted(error['input'])}. {SEND_JSON}"
    name = ".".join(str(part)[:MOST_QUOTED] for part in rest)
    if error["type"] == "extra_forbidden":
        return str(UnknownName("field", name, _fields(dependant)))
    what = f"{PLACES.get(str(where), 'Field')} {name!r}"
    if error["type"] == "missing":
        return f"{what} is missing."
    what += f" is {quoted(error['input'])}"
    said = objection(error)
    return f"{what}. {said}" if said else f"{what}; it must be {expected(error, FORMS)}."


def _fields(dependant: Dependant) -> list[str]:
    """Names of the fields of a route's body."""
    kinds: list[Any] = [field.field_info.annotation for field in dependant.body_params]
    models = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return [name for model in models for name in model.model_fields]
