"""SQL stands in repositories: whoever looks for a statement looks in one folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SQL = (
    "records/repositories",
    "records/models",
    "migrations",
)  # models hold columns and conditions of indices
OTHERS = ("records", "service", "worker", "stack", "vcp_core", "client")
# What is no statement: connections, transactions, errors, types for annotations; and the database's clock.
FREE = {"Engine", "create_engine", "event", "Session", "sessionmaker", "ColumnElement"}
BASE = {
    "JSON",
    "DateTime",
    "MetaData",
    "make_url",
    "TypeDecorator",
    "Uuid",
    "DeclarativeBase",
    "Mapped",
    "mapped_column",
    "func",
}
RUNS = {"execute", "scalar", "scalars", "query"}
# The supervisor makes the role and the database themselves, before there is a schema.
EXEMPT_RUNS = {"stack/engines.py"}


def sql_of(source: str, *, free: set[str] = FREE) -> Iterator[str]:
    """Names that make a statement, and calls that run one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            if node.module != "sqlalchemy.exc":
                yield from (one.name for one in node.names if one.name not in free)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] == "sqlalchemy")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in RUNS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"session", "connection", "cursor"}
        ):
            yield f"{node.func.value.id}.{node.func.attr}"


def test_statements_are_made_and_run_in_repositories_and_migrations_only() -> None:
    assert list(sql_of("from sqlalchemy import select")) == ["select"]
    assert list(sql_of("session.execute(found)")) == ["session.execute"]
    assert list(sql_of("from sqlalchemy.orm import Session")) == []
    found = {}
    for path in (path for folder in OTHERS for path in sorted((ROOT / folder).rglob("*.py"))):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(SQL):
            continue
        free = FREE | BASE if name == "records/db.py" else FREE
        if name not in EXEMPT_RUNS and (said := list(sql_of(path.read_text(), free=free))):
            found[name] = said
    assert found == {}
