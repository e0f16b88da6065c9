"""Examples that need a server: one stack for all pages, as `vcpbench up` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import running
from tests.docs.test_examples import follow, with_runs
from tests.stack.kit import Stack

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return running.furnish(tmp_path_factory.mktemp("served") / "folder")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and token file of a running stack."""
    stack = Stack(tmp_path_factory.mktemp("stack") / "home")
    try:
        stack.up()
        yield f"http://127.0.0.1:{stack.port}", Path(stack.status()["token_file"])
    finally:
        stack.run("down")


@pytest.mark.parametrize("page", with_runs("server"))
def test_the_examples_of_a_page_run_on_a_server(
    page: str, server: tuple[str, Path], furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(page, running.copy_of(furnished, tmp_path / "page"), ("server",), monkeypatch, server)
