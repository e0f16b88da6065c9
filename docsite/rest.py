"""Reference of the REST API, from its OpenAPI document."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from docsite.library import markdown

HEAD = """# REST

This page is made from the OpenAPI document, which every server gives at `/openapi.json`, and as a page to
try requests on at `/docs`. [The service, by curl](../service.md) shows the requests in their order.

Every request but `GET /v1/health` needs the header `Authorization: Bearer TOKEN`, unless the server lets
everybody read.
"""


def document() -> dict[str, Any]:
    """The OpenAPI document of this version; no engine is needed for it."""
    from records.settings import Settings
    from service.app import create_app

    settings = Settings(
        database_url="postgresql://none/none", broker_url="redis://none", store_url="file:///none"
    )
    found: dict[str, Any] = create_app(settings).openapi()
    return found


def page() -> str:
    """The page's Markdown."""
    openapi = document()
    parts = [HEAD]
    for tag in openapi["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, item in openapi["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    parts += _operation(method, path, operation)
    parts.append("## Schemas\n")
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        parts += schema_table(name, schema)
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    lines = [f"### {operation['summary']}", "", f"`{method.upper()} {path}`", ""]
    lines += [operation.get("description", ""), ""]
    parameters = operation.get("parameters", ())
    if parameters:
        lines += ["| parameter | in | type | what it says |", "|---|---|---|---|"]
        for one in parameters:
            needed = ", required" if one.get("required") and one["in"] != "path" else ""
            text = one.get("description") or one["schema"].get("description", "")
            lines.append(
                f"| `{one['name']}` | {one['in']}{needed} | {_type(one['schema'])} | {_cell(text)} |"
            )
        lines.append("")
    if "requestBody" in operation:
        kinds = ", ".join(_body(kind, one) for kind, one in operation["requestBody"]["content"].items())
        lines += [f"Body: {kinds}.", ""]
    lines += [f"Answers: {', '.join(_answers(operation['responses']))}.", ""]
    return lines


def _body(kind: str, content: dict[str, Any]) -> str:
    shown = _type(content.get("schema", {}))
    return f"`{kind}`" if shown == "anything" else f"`{kind}`, {shown}"


def _answers(responses: dict[str, Any]) -> list[str]:
    found = []
    for code, answer in responses.items():
        schemas = [_type(one["schema"]) for one in answer.get("content", {}).values() if one.get("schema")]
        shown = f" ({schemas[0]})" if schemas and code.startswith("2") and schemas[0] != "anything" else ""
        found.append(f"{code} {HTTPStatus(int(code)).phrase}{shown}")
    return found


def schema_table(name: str, schema: dict[str, Any]) -> list[str]:
    """A named schema with its fields, as a section."""
    lines = [f"### {name}", "", markdown(schema.get("description", "")), ""]
    properties = schema.get("properties", {})
    if properties:
        required = set(schema.get("required", ()))
        rows = [("field", "type", "what it says"), ("---", "---", "---")]
        for field, one in properties.items():
            mark = " (required)" if field in required else ""
            rows.append((f"`{field}`", f"{_type(one)}{mark}", _cell(one.get("description", ""))))
        columns = 3 if any(row[2] for row in rows[2:]) else 2
        lines += [f"| {' | '.join(row[:columns])} |" for row in rows]
        lines.append("")
    return lines


def _type(schema: dict[str, Any]) -> str:
    """A schema in words; one with a name links to it."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{_slug(name)})"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[key]))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "string" and "format" in schema:
        return f"string ({schema['format']})"
    return str(kind or "anything")


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]", "", name.lower())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
