"""A home, and `vcpbench` on it, as people run it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.patience import DEADLINE_S, until

VCPBENCH = str(Path(sys.executable).with_name("vcpbench"))


# Below the ports that the system gives to whoever asks for any: another test's server would have it before
# the stack does, and answer in its place. Each process of pytest-xdist has ports of its own.
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.cycle(random.sample(range(20_000 + 1_000 * PROCESS, 21_000 + 1_000 * PROCESS), 1_000))


def free_port() -> int:
    """One that nobody has, and nobody else will be given."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable: the ports go round")


class Stack:
    """A home, and the commands on it."""

    def __init__(
        self, home: Path, before: list[str] | None = None, umask: int = -1, **environment: str
    ) -> None:
        self.home, self.port = home, free_port()
        self._before, self._umask, self._environment = before or [], umask, environment

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._before, VCPBENCH, *words, "--home", str(self.home)],
            env={**os.environ, **self._environment},
            umask=self._umask,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def up(self) -> list[str]:
        run = self.run("up", "--port", str(self.port))
        assert run.returncode == 0, run.stderr
        assert f"http://127.0.0.1:{self.port}" in run.stdout
        return run.stdout.splitlines()

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json").stdout))

    def pids(self) -> dict[str, int]:
        return {program["name"]: program["pid"] for program in self.status()["programs"]}

    def health(self) -> int:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/v1/health", timeout=DEADLINE_S
        ) as response:
            return int(response.status)

    def wait_until(self, true: Callable[[], bool]) -> None:
        until(true, else_say=self.status, every_s=0.1)
