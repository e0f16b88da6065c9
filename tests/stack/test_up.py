"""`vcpbench up`, `status`, `down`: the real stack, in homes of its own."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.engines import Engines
from tests.patience import DEADLINE_S
from tests.stack.kit import VCPBENCH, Stack
from tests.workers import alive

pytestmark = pytest.mark.slow


@pytest.mark.product
def test_a_stack_comes_up_restarts_what_dies_and_leaves_nothing_behind(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    stack = make_stack()
    *_, last_line = stack.up()
    login = [VCPBENCH, *shlex.split(last_line)[1:]]
    run = subprocess.run(login, env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
    assert (login[1], run.returncode) == ("login", 0)
    assert stack.health() == 200
    before = stack.pids()
    fitting = min(name for name in before if name.startswith("worker-cpu"))
    assert set(before) >= {"postgres", "valkey", "service", fitting, "worker-gpu"}
    again = stack.run("up", "--port", str(stack.port))
    assert (again.returncode, again.stderr.strip()) == (0, "The service is running already.")
    token = (stack.home / "token").read_text()
    assert (stack.home / "token").stat().st_mode & 0o077 == 0

    for name in (fitting, "valkey"):
        os.kill(before[name], signal.SIGKILL)

    def restarted() -> bool:
        now = stack.pids()
        return {name for name in now if now[name] and now[name] != before[name]} == {fitting, "valkey"}

    stack.wait_until(restarted)
    after = stack.pids()

    assert stack.run("token", "create", "ci", "--team", "vision").stdout.startswith("vcp_")
    assert [token["name"] for token in json.loads(stack.run("token", "list", "--json").stdout)] == [
        "local",
        "ci",
    ]
    assert stack.run("token", "revoke", "ci").returncode == 0
    bearer = {"Authorization": f"Bearer {token.strip()}"}
    noted = httpx.get(f"http://127.0.0.1:{stack.port}/v1/audit", headers=bearer).json()["items"]
    assert [(one["action"], one["by"], one["subject"]["name"]) for one in noted[:2]] == [
        ("vcpbench token revoke", "operator", "ci"),
        ("vcpbench token create", "operator", "ci"),
    ]

    assert stack.run("down").returncode == 0
    assert not [pid for pid in after.values() if alive(pid)]
    assert stack.run("status").returncode == 3
    assert stack.run("down").returncode == 0
    run = stack.run("token", "list")
    assert (run.returncode, "Start the service: vcpbench up" in run.stderr) == (2, True)

    stack.up()  # the data, and with it the token, stay between runs
    assert (stack.home / "token").read_text() == token
    base = f"http://127.0.0.1:{stack.port}/v1"
    headers = {"Authorization": f"Bearer {token.strip()}"}
    with httpx.Client(base_url=base, headers=headers, timeout=DEADLINE_S) as client:
        assert client.get("/status").status_code == 200
        missing = {"name": "gestures", "location": str(tmp_path / "gone")}
        refused = client.post("/datasets", json=missing)
        assert (refused.status_code, "does not exist" in refused.json()["detail"]) == (422, True)


def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_works(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    stack.up()
    status = stack.status()
    os.kill(status["pid"], signal.SIGKILL)
    pids = [program["pid"] for program in status["programs"]]
    stack.wait_until(lambda: not [pid for pid in pids if alive(pid)])
    stack.up()
    assert stack.health() == 200


@pytest.mark.product
def test_two_stacks_run_side_by_side_one_in_a_very_long_home(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    long = tmp_path / ("l" * 100) / ("o" * 100)
    first, second = make_stack(), make_stack(long)
    first.up()
    second.up()
    assert (first.health(), second.health()) == (200, 200)
    assert not {*first.pids().values()} & {*second.pids().values()}
    first.run("down")
    assert second.health() == 200


def test_a_port_in_use_is_named_before_anything_starts(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with socket.socket() as other:
        other.bind(("127.0.0.1", stack.port))
        other.listen()
        run = stack.run("up", "--port", str(stack.port))
    assert run.returncode == 2
    assert (
        f"127.0.0.1:{stack.port} cannot be used (Address already in use). Choose another port: --port"
        in run.stderr
    )
    assert stack.run("status").returncode == 3


@pytest.mark.product
def test_a_stack_comes_up_behind_a_proxy_and_at_an_ipv6_address(make_stack: Callable[..., Stack]) -> None:
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this machine has no IPv6")
    stack = make_stack(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9", no_proxy="")
    run = stack.run("up", "--host", "::1", "--port", str(stack.port))
    assert run.returncode == 0, run.stderr
    assert f"runs at http://[::1]:{stack.port}," in run.stdout
    with socket.create_connection(("::1", stack.port), timeout=5):
        pass
    assert stack.run("down").returncode == 0


def test_a_home_that_cannot_be_written_is_named(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack = make_stack(tmp_path / "file" / "home")
    run = stack.run("up", "--port", str(stack.port))
    assert run.returncode == 2
    assert "file/home cannot be used: Not a directory. Choose another folder: --home" in run.stderr


@pytest.mark.product
def test_a_newer_schema_is_said_with_the_reason(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    stack.run("down")
    engines = Engines.in_folder(stack.home / "engines")
    engines.postgres.start()
    with psycopg.connect(engines.database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    engines.stop()
    run = stack.run("up", "--port", str(stack.port))
    assert run.returncode == 2
    assert "is newer than this version of vcpbench" in run.stderr.replace("\n", " ")
    assert stack.run("status").returncode == 3


@pytest.mark.parametrize("reachable", [True, False], ids=["in a home it reaches", "in one it does not"])
@pytest.mark.product
def test_a_strict_umask_does_not_shut_the_engines_account_out(
    make_stack: Callable[..., Stack], tmp_path: Path, reachable: bool
) -> None:
    base = Path("/tmp") / f"vcpbench-umask-{os.getpid()}" if reachable else tmp_path / "base"
    base.mkdir()
    base.chmod(0o755 if reachable else 0o700)
    try:
        stack = make_stack(base / "a" / "home", umask=0o077)
        stack.up()
        assert stack.health() == 200
        assert stack.run("down").returncode == 0
        assert base.stat().st_mode & 0o777 == (0o755 if reachable else 0o700)  # not ours: as it was
        for name in ("token", "logs", "objects", "scratch"):
            assert (stack.home / name).stat().st_mode & 0o077 == 0
    finally:
        shutil.rmtree(base)


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user"
)
@pytest.mark.product
def test_an_ordinary_user_runs_a_stack_too(make_stack: Callable[..., Stack]) -> None:
    # It may read everything here (Python may lie in root's home), and is nobody otherwise.
    nobody = pwd.getpwnam("nobody")
    caps = "-all,+dac_read_search"
    become = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    become += [f"--inh-caps={caps}", f"--ambient-caps={caps}"]
    home = Path("/tmp") / f"vcpbench-ordinary-{os.getpid()}"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        stack = make_stack(home / "stack", before=become, HOME=str(home), TMPDIR=str(home))
        stack.up()
        for pid in stack.pids().values():
            assert os.stat(f"/proc/{pid}").st_uid == nobody.pw_uid
        assert stack.health() == 200
        assert stack.run("down").returncode == 0
    finally:
        shutil.rmtree(home)
