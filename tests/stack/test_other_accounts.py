"""What another account of the machine can see of an installation: nothing but its address."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from stack.engines import Engines
from tests.stack.kit import Stack

SPARE_UID = 61_234  # of no account
NO = {errno.EACCES, errno.EPERM}


def as_another_account(look: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Run a function in a fork of this process under another account. It gives an errno for each attempt."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(SPARE_UID, SPARE_UID, SPARE_UID)
            os.setresuid(SPARE_UID, SPARE_UID, SPARE_UID)
            os.write(writing, json.dumps(look()).encode())
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    return dict(json.loads(found))


def errno_of(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another account")
@pytest.mark.product
def test_another_account_reads_nothing_and_connects_to_no_engine(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(Path(f"/tmp/vcpbench-home-{os.getpid()}"))  # where others may look, unlike tmp_path
    stack.up()
    engines = Engines.in_folder(stack.home / "engines")
    files = [path for path in stack.home.rglob("*") if path.is_file()]
    names = {path.relative_to(stack.home).parts[0] for path in files}
    assert {"lock", "state.json", "token", "logs", "secrets"} <= names
    pids = [pid for pid in stack.pids().values() if pid]
    sockets = [engines.valkey.socket, engines.postgres.sockets / ".s.PGSQL.5432"]
    for path in sockets:
        connect(path)  # as root; otherwise the attempts below would prove nothing

    def look() -> dict[str, int]:
        attempts: dict[str, Callable[[], object]] = {}
        for path in files:
            attempts[f"read {path}"] = path.read_bytes
        for folder in (stack.home, engines.postgres.folder, engines.postgres.sockets):
            attempts[f"list {folder}"] = lambda folder=folder: os.listdir(folder)
        for path in sockets:
            attempts[f"connect to {path}"] = lambda path=path: connect(path)
        for pid in pids:
            for name in ("environ", "mem"):
                attempts[f"read /proc/{pid}/{name}"] = Path(f"/proc/{pid}/{name}").read_bytes
            attempts[f"signal {pid}"] = lambda pid=pid: os.kill(pid, 0)
        return {name: errno_of(attempt) for name, attempt in attempts.items()}

    try:
        found = as_another_account(look)
        assert {name: number for name, number in found.items() if number not in NO} == {}
        assert len(found) > 20
        kept = [stack.home / "token", *engines.postgres.folder.glob("*.password")]
        secrets = [path.read_text().strip() for path in kept]
        assert len(secrets) == 3
        for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]:
            try:
                said = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:  # ended meanwhile
                continue
            for secret in secrets:
                assert quote(secret, safe="").encode() not in said, pid
    finally:
        stack.run("down")
        shutil.rmtree(stack.home)
