"""What numbers in JSON and TOML must be, and words for it. Users never see pydantic's own messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import ErrorDetails

from vcp_core.catalog.errors import MOST_QUOTED

# The words by pydantic's type of error. The error's context fills `{...}`.
EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "an object of named values",
    "enum": "one of {expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "ip_any_network": "networks, such as 10.0.0.0/8, with commas between them",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "one of {expected}",
    "mapping_type": "an object of named values",
    "model_attributes_type": "an object of named values",
    "model_type": "an object of named values",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of at least {min_length} characters",
    "string_type": "text",
    "string_unicode": "text without half a surrogate pair",
    "too_long": "a list of at most {max_length} items",
    "too_short": "a list of at least {min_length} items",
    "tuple_type": "a list",
}
UNFORESEEN = "of another form"

# pydantic would also take "3" and true for a whole number, and "yes" for true. In a file they are slips.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]


def whole(value: Any) -> Any:
    """Turn 3.0 into 3, also in a list, for a field of the type `Whole`; it is whole in JSON's eyes.

    >>> whole(3.0), whole([1.0, 2.5]), whole("3")
    (3, [1, 2.5], '3')
    """
    if isinstance(value, list | tuple):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def expected(error: ErrorDetails, patterns: Mapping[str, str] | None = None) -> str:
    """Say what the value must be: the rest of a sentence that begins "it must be".

    Args:
        error: One of `ValidationError.errors()`.
        patterns: Words for the texts that a regular expression allows, by the expression.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(int).validate_python("many")
    ... except ValidationError as error:
    ...     print(expected(error.errors()[0]))
    a whole number
    """
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        return (patterns or {}).get(context["pattern"], UNFORESEEN)
    words = EXPECTED.get(error["type"], UNFORESEEN).format(**context)
    return words.replace(" 1 characters", " 1 character").replace(" 1 items", " 1 item")


def objection(error: ErrorDetails) -> str | None:
    """Give the sentence of a check that this project wrote; None if one of pydantic's checks failed.

    >>> objection({"type": "value_error", "ctx": {"error": ValueError("The name is taken.")}})
    'The name is taken.'
    >>> objection({"type": "int_parsing", "ctx": {}}) is None
    True
    """
    reason = error.get("ctx", {}).get("error")
    return str(reason) if error["type"] == "value_error" else None


def quoted(value: Any) -> str:
    """Quote a value in a message to its sender: on one line, at most 60 characters of it.

    >>> quoted("many"), quoted(0), quoted({"a": 1}), quoted("x" * 100)[-4:]
    ("'many'", '0', '{"a": 1}', 'xxx…')
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    if not text.isprintable():
        text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= MOST_QUOTED else text[:MOST_QUOTED] + "…"
