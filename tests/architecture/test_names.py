"""Names with one meaning: `Protocol` is an evaluation's protocol, never typing's."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("vcp_core", "records", "service", "worker", "stack", "migrations", "client", "bench")


def typings_protocol_by_its_own_name(source: str) -> bool:
    """Whether a file imports typing's `Protocol` without another name for it."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in ("typing", "typing_extensions")
        and any(one.name == "Protocol" and one.asname in (None, "Protocol") for one in node.names)
        for node in ast.walk(ast.parse(source))
    )


def test_protocol_means_the_evaluations_protocol_and_typings_is_an_interface() -> None:
    assert typings_protocol_by_its_own_name("from typing import Any, Protocol")
    assert not typings_protocol_by_its_own_name("from typing import Protocol as Interface")
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    assert [str(path) for path in files if typings_protocol_by_its_own_name(path.read_text())] == []
