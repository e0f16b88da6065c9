"""Stacks that are taken down after the test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.kit import Stack


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    made: list[Stack] = []

    def make(home: Path | None = None, **options: Any) -> Stack:
        made.append(Stack(home or tmp_path / f"home{len(made)}", **options))
        return made[-1]

    yield make
    for stack in made:
        data = stack.status().get("data")
        stack.run("down")
        if data and data.startswith("/var/lib/vcpbench/"):
            shutil.rmtree(data)
