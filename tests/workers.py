"""Worker processes, as an installation runs them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from records.settings import Settings


class WorkerProcess:
    """`python -m worker` with some settings, its log in a file."""

    def __init__(self, settings: Settings, log: Path, changes: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                env={**os.environ, **environment(settings), **changes},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def wait_for(self, words: str, *, timeout_s: float = 60) -> None:
        """Until the log says so."""
        deadline = time.monotonic() + timeout_s
        while words not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{words!r} not in: {self.log.read_text()}"
            time.sleep(0.05)

    def children(self) -> list[int]:
        """Process ids of its children and theirs."""
        return descendants(self.process.pid)

    def runner_child(self, *, timeout_s: float = 60) -> int:
        """Process id of the child that does its jobs, once there is one."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(ValueError):  # none yet
                return runner_child(self.process.pid)
            time.sleep(0.005)
        raise AssertionError(self.log.read_text())

    def reader(self, *, timeout_s: float = 60) -> int:
        """Process id of the sandbox that opens a foreign file, once there is one."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for pid in self.children():
                if "vcp_core.checkpoints.child" in " ".join(command(pid)):
                    return pid
            time.sleep(0.005)
        raise AssertionError(self.log.read_text())

    def terminate(self, *, timeout_s: float = 60) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give these settings."""
    return {
        "VCPBENCH_DATABASE_URL": settings.database_url.get_secret_value(),
        "VCPBENCH_BROKER_URL": settings.broker_url.get_secret_value(),
        "VCPBENCH_STORE_URL": settings.store_url,
        "VCPBENCH_SCRATCH": str(settings.scratch),
        "VCPBENCH_QUEUES": ",".join(settings.queues),
        "VCPBENCH_DEVICE": settings.device,
        "VCPBENCH_LEASE_S": str(settings.lease_s),
        "VCPBENCH_IDLE_LOOK_S": str(settings.idle_look_s),
        "VCPBENCH_SHARD_CLIPS": str(settings.shard_clips),
    }


def descendants(pid: int) -> list[int]:
    """Process ids below one, by /proc."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    below = [pid]
    while below:
        children = parents.get(below.pop(), [])
        found += children
        below += children
    return found


def runner_child(pid: int) -> int:
    """Process id of the one child that a process's Runner has; what else it started does not matter."""
    (found,) = (
        child for child in descendants(pid) if parent(child) == pid and "worker.child" in command(child)
    )
    return found


def parent(pid: int) -> int | None:
    """Process id of whoever started it; None if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def command(pid: int) -> list[str]:
    """Its command line; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
