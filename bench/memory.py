"""Peak memory of processes and of all processes below them, by /proc, while other things run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_S = 0.5
CHILDREN = {"--child": "child", "worker.child": "child", "vcp_core.checkpoints.child": "sandbox"}


class Peaks:
    """Watches processes until the block ends.

    A peak is the system's own (VmHWM), so no short one is missed while its process lives. Memory that several
    processes share, such as PostgreSQL's buffers, counts for each of them.

    Args:
        processes: Called at each look. Returns the process ids of those that run, by name.

    Attributes:
        mib: The largest peak by name, in MiB. A process below "worker-0" is "worker-0: child", for example.
    """

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mib: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            below = _children()
            for name, pid in self._processes().items():
                self._note(name, pid)
                for one in _descendants(pid, below):
                    self._note(f"{name}: {_role(one)}", one)

    def _note(self, name: str, pid: int) -> None:
        self.mib[name] = max(self.mib.get(name, 0), peak_mib(pid))


def peak_mib(pid: int) -> int:
    """Peak memory of a process, in MiB; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:")), 0)


def _role(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    return next((role for word, role in CHILDREN.items() if word in words), "other")


def _children() -> dict[int, list[int]]:
    """Children of every process."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it has just ended
            continue
        found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def _descendants(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    found = list(children.get(pid, ()))
    return found + [one for child in found for one in _descendants(child, children)]
