"""The memory of a child process: how much it takes, and how much it may take."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 0.75  # of all memory; the rest is for this process, the kernel's cache and what else runs here
CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def usual_limit() -> int:
    """The bytes that a child may take, if nobody says: three quarters of the machine's or container's."""
    everything = [os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES]
    for path in CONTAINER:
        try:
            everything.append(int(path.read_text()))
        except (OSError, ValueError):  # no container of this kind, or "max"
            continue
    return int(SHARE * min(everything))


def resident_bytes(pid: int) -> int:
    """The bytes of memory that a process has now, without pages of files; 0 if it has ended."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except OSError:
        return 0
    return (resident - shared) * PAGE_BYTES
