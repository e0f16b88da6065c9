"""Worker processes, as an installation runs them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from records.settings import Settings
from tests.patience import DEADLINE_S, until

READER = "vcp_core.checkpoints.child"


class WorkerProcess:
    """`python -m worker` with some settings, its log in a file."""

    running: ClassVar[list[WorkerProcess]] = []  # those that nobody has told to end

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
        self.running.append(self)

    @classmethod
    def casualty(cls) -> str | None:
        """The log of a worker that ended though nobody told it to; waiting for its work is in vain."""
        return next((one.log.read_text() for one in cls.running if one.process.poll() is not None), None)

    def wait_for(self, words: str) -> None:
        """Until the log says so."""
        until(lambda: words in self.log.read_text(), hopeless=self.end, else_say=self.log.read_text)

    def wait_for_end(self) -> int:
        """Its exit code, once it has ended by itself."""
        self._told()
        return self.process.wait(DEADLINE_S)

    def end(self) -> str | None:
        """What it said, if it has ended."""
        return None if self.process.poll() is None else f"it ended: {self.log.read_text()}"

    def children(self) -> list[int]:
        """Process ids of its children and theirs."""
        return descendants(self.process.pid)

    def runner_child(self, *, walled: bool | None = None) -> int:
        """Process id of a child that does its jobs, once there is one; with walls, or without, if said."""

        def look() -> int | None:
            children = runner_children(self.process.pid)
            return next((child for child in children if walled in (None, is_walled(child))), None)

        return until(look, hopeless=self.end, else_say=self.log.read_text, every_s=0.005) or 0

    def crash_attempt(self) -> None:
        """Kill the child in the middle of a job.

        A child that is killed between two jobs is replaced without a word; then the next child is killed.
        The children are looked for before the log is read, so no child of a second attempt is killed.
        """
        killed: set[int] = set()

        def look() -> bool:
            children = runner_children(self.process.pid)
            if "attempt crashed" in self.log.read_text():
                return True
            for child in set(children) - killed:
                with contextlib.suppress(ProcessLookupError):  # the worker ended it first
                    os.kill(child, signal.SIGKILL)
                killed.add(child)
            return False

        until(look, hopeless=self.end, else_say=self.log.read_text, every_s=0.005)

    def reader(self) -> int:
        """Process id of the sandbox that opens a foreign file, once there is one."""

        def look() -> int | None:
            readers = (pid for pid in self.children() if READER in " ".join(command(pid)))
            return next(readers, None)

        return until(look, hopeless=self.end, else_say=self.log.read_text, every_s=0.005) or 0

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self._told()
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """SIGKILL."""
        self._told()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def _told(self) -> None:
        if self in self.running:
            self.running.remove(self)


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
        "VCPBENCH_FIT_VALUES": str(settings.fit_values),
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
    """Process id of the one child that a process's Runner has."""
    (found,) = runner_children(pid)
    return found


def runner_children(pid: int) -> list[int]:
    """Process ids of the children that a process's Runner has; what else it started does not matter."""
    return [child for child in descendants(pid) if parent(child) == pid and "worker.child" in command(child)]


def is_walled(pid: int) -> bool | None:
    """Whether a filter of system calls stands around the process; None if it is gone."""
    try:
        return "\nSeccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None


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
