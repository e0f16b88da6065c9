"""Reference of the results' JSON, from the classes that write it."""

from __future__ import annotations

from typing import Any

from docsite.rest import schema_table

HEAD = """# Fields of the results' JSON

This page is made from `vcp_core.Results`.
[Read the results' JSON](../howto/results-json.md) shows how to read a file.
"""


def page() -> str:
    """The page's Markdown."""
    import vcp_core

    schema: dict[str, Any] = vcp_core.Results.model_json_schema(mode="serialization")
    inner = schema.pop("$defs")
    parts = [HEAD, *schema_table("Results", schema)]
    for name, one in sorted(inner.items()):
        parts += schema_table(name, one)
    return "\n".join(parts).replace("\n### ", "\n## ")
