"""What an attack costs: memory of the API and of workers, and how long another team waits meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.installation import Installation

EVERY_S = 0.25
TIMEOUT_S = 120.0


@dataclass
class Seen:
    """The worst that was seen while an attack ran.

    Attributes:
        seconds: How long the attack took.
        health_s: Longest answer of `GET /v1/health`, each over a new connection.
        write_s: Longest answer to a write of another team.
        api_mib: Peak memory of the API.
        worker_mib: Peak memory of one process of a worker.
        failures: What the other team was refused.
    """

    seconds: float = 0.0
    health_s: float = 0.0
    write_s: float = 0.0
    api_mib: float = 0.0
    worker_mib: float = 0.0
    failures: list[str] = field(default_factory=list)


class Watch:
    """Looks at an installation from beside.

    Args:
        installation: It runs.
        headers: Of another team's token.
        write: The body of an evaluation that this team has asked for already: asking again takes the lock
            that all changes take, and makes nothing.
    """

    def __init__(self, installation: Installation, headers: Mapping[str, str], write: Mapping[str, Any]):
        self._installation, self._headers, self._write = installation, dict(headers), dict(write)

    @contextmanager
    def during(self) -> Iterator[Seen]:
        """Look until the block ends."""
        seen, over = Seen(), threading.Event()
        looks = (self._health, self._ask_again, self._memory)
        threads = [threading.Thread(target=self._again, args=(look, seen, over)) for look in looks]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            seen.seconds = time.monotonic() - begun
            over.set()
            for thread in threads:
                thread.join()

    def _again(self, look: Any, seen: Seen, over: threading.Event) -> None:
        while True:
            look(seen)
            if over.wait(EVERY_S):
                return

    def _health(self, seen: Seen) -> None:
        seen.health_s = max(seen.health_s, self._timed(seen, "GET", "/v1/health"))

    def _ask_again(self, seen: Seen) -> None:
        seen.write_s = max(seen.write_s, self._timed(seen, "POST", "/v1/evaluations", json=self._write))

    def _timed(self, seen: Seen, method: str, path: str, **more: Any) -> float:
        begun = time.monotonic()
        try:
            answer = httpx.request(
                method, self._installation.url + path, headers=self._headers, timeout=TIMEOUT_S, **more
            )
            if answer.status_code != 200:
                seen.failures.append(f"{method} {path}: {answer.status_code}")
        except httpx.HTTPError as error:
            seen.failures.append(f"{method} {path}: {type(error).__name__}")
        return time.monotonic() - begun

    def _memory(self, seen: Seen) -> None:
        for name, pid in self._installation.processes().items():
            if name == "service":
                seen.api_mib = max(seen.api_mib, resident_mib(pid))
            elif name.startswith("worker"):
                seen.worker_mib = max(seen.worker_mib, *map(resident_mib, [pid, *children(pid)]))


def resident_mib(pid: int) -> float:
    """The memory that a process has now; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024 if "VmRSS:" in status else 0.0


def children(pid: int) -> list[int]:
    """Process ids of all processes below one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = list(map(int, task.read_text().split()))
        except OSError:
            continue
        found += below
        for one in below:
            found += children(one)
    return found
