"""A worker tries its device behind walls before it takes a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from records.settings import Settings
from vcp_core.catalog.errors import VcpbenchError, WallsMissing
from worker import app, runner
from worker.app import Device

pytestmark = pytest.mark.slow


def with_device(settings: Settings, folder: Path, device: str = "cpu") -> Settings:
    folder.mkdir(exist_ok=True)
    return settings.model_copy(update={"scratch": folder, "device": device, "queues": ("gpu",)})


def test_a_device_that_computes_behind_walls_is_named(settings: Settings, tmp_path: Path) -> None:
    found = app._device(with_device(settings, tmp_path / "scratch"))
    assert (found.name.startswith("cpu"), found.no_walls) == (True, "")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_worker_without_networks_has_none(settings: Settings) -> None:
    assert app._device(settings.model_copy(update={"queues": ("cpu",)})) == Device("none", "")


@pytest.mark.parametrize(
    ("how", "says"), [("crash", "ended with code 1"), ("error", "no device cuda:0 here")]
)
def test_a_device_that_computes_only_without_walls_is_used_and_said(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, "-m", "tests.walls.open_only", how))
    chosen = with_device(settings, tmp_path)
    found = app._device(chosen)
    assert found.name.startswith("cpu")
    assert says in found.no_walls
    monkeypatch.setenv("VCPBENCH_WALLS", "required")
    with pytest.raises(WallsMissing, match=r"works only without them: .* or set VCPBENCH_WALLS to wanted"):
        app._device(chosen)


def test_a_start_that_failed_by_chance_takes_no_walls_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe, tries = app._describe, []

    def fail_once(*arguments: Any) -> Any:
        tries.append(arguments)
        return runner.ChildFailed("no sign of progress", "") if len(tries) == 1 else describe(*arguments)

    monkeypatch.setattr(app, "_describe", fail_once)
    assert app._device(with_device(settings, tmp_path)).no_walls == ""
    assert len(tries) == 3


def test_a_device_that_does_not_exist_is_said(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(VcpbenchError, match="cuda"):
        app._device(with_device(settings, tmp_path, device="cuda:7"))
