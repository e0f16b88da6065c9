"""`vcpbench status` speaks of the server that one is logged in to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack.commands.up import NOT_RUNNING
from stack.home import Home, StackState
from tests.client.conftest import Run, token_of
from tests.client.hands import Hands
from tests.served import Served

NOBODY = {"VCPBENCH_URL": "", "VCPBENCH_TOKEN": ""}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of a stack on this machine. None runs there."""
    found = Home(tmp_path / "home")
    found.folder.mkdir()
    return found


def stopped_at(url: str) -> StackState:
    return StackState(pid=0, url=url, phase="ready")


def test_status_is_of_the_server_of_the_login_and_not_of_this_machine(
    run: Run, api: Served, hands: Hands, home: Home, tmp_path: Path
) -> None:
    here = {"VCPBENCH_HOME": str(home.folder)}
    nobody = run("status", **NOBODY, **here)
    assert (nobody.returncode, "Nothing is running in" in nobody.stderr) == (NOT_RUNNING, True)
    (tmp_path / "token").write_text(token_of(api))
    assert run("login", api.url, "--token-file", "token", **NOBODY).returncode == 0
    found = run("status", **NOBODY, **here)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0] == api.url
    assert "hands" in found.stdout
    told = json.loads(run("status", "--json", **NOBODY, **here).stdout)
    assert told.keys() == {"queues", "workers", "pauses", "quota"}
    assert run("status", "--home", str(home.folder), **NOBODY).returncode == NOT_RUNNING


def test_status_is_of_this_machine_if_the_login_is_to_its_service(run: Run, api: Served, home: Home) -> None:
    home.write(stopped_at(api.url.replace("127.0.0.1", "localhost")))
    found = run("status", VCPBENCH_HOME=str(home.folder))
    assert (found.returncode, "Nothing is running in" in found.stderr) == (NOT_RUNNING, True)
    home.write(stopped_at(api.url.replace("127.0.0.1", "0.0.0.0")))  # `vcpbench up --host 0.0.0.0`
    assert run("status", VCPBENCH_HOME=str(home.folder)).returncode == NOT_RUNNING
    home.write(stopped_at("http://127.0.0.1:1"))
    assert run("status", VCPBENCH_HOME=str(home.folder)).stdout.startswith(api.url)


def test_a_server_that_is_away_is_said_and_not_replaced(run: Run, home: Home) -> None:
    away = run("status", VCPBENCH_URL="http://127.0.0.1:1", VCPBENCH_HOME=str(home.folder))
    assert (away.returncode, "cannot be reached" in away.stderr) == (2, True)
