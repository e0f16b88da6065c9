"""Each package says what is where: its docstring names all its modules and packages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEW = 3  # modules that a reader sees at a glance
ROOTS = ("vcp_core", "records", "service", "worker", "stack")


def is_described_by_rule(package: Path) -> bool:
    return package.relative_to(ROOT).as_posix() == "stack/commands" or (
        package.parent == ROOT / "service" and package.name != "web"
    )


PACKAGES = [
    package
    for root in ROOTS
    for package in sorted(path.parent for path in (ROOT / root).rglob("__init__.py"))
    if not is_described_by_rule(package)
]


def inside(package: Path) -> set[str]:
    files = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    return files | {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_package_says_what_is_where(package: Path) -> None:
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    there = inside(package)
    if len(there) > FEW:
        assert {name for name in there if name not in told} == set()
