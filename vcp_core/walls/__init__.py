"""Walls around a process that reads foreign files: what the kernel refuses it, whatever code runs in it.

A foreign file is one that somebody else wrote. If it takes over the process that reads it, the walls remain:

| wall         | the process can no longer                                                                |
|--------------|------------------------------------------------------------------------------------------|
| no_new_privs | gain rights by running a setuid program                                                  |
| landlock     | open files but those of its rules, open TCP connections, signal or trace other processes |
| user         | do what root may do; it runs under a user id that no other process has                   |
| seccomp      | start programs or processes, open sockets, or make the calls of `syscalls.REFUSED`       |

A process builds its own walls, and nothing removes them again:

    walls = raise_walls(read=(...), write=(folder,))   # with one thread, before anything large is imported
    walls = filter_calls(walls)                        # before the first foreign byte is read
    give_up_reading()                                  # in each thread, once everything is imported

    build.py     the order of the walls, and the process that dies with its parent
    rules.py     the files that Python and torch read while they are imported
    landlock.py  rules for files, TCP and signals
    user.py      a user id for each process, and no capabilities
    seccomp.py   the filter of system calls
    syscalls.py  the numbers of the system calls, and which are refused
    kernel.py    calls of the kernel that Python does not offer
    report.py    which walls stand, and whether work goes on without one
    handing.py   taking a file from the folder of a walled process

The kernel decides which walls there are: Landlock came with Linux 5.13, its rules for TCP with 6.7, and for
signals with 6.12. See docs/decisions/2026-11-29-walls.md.
"""

from __future__ import annotations

from vcp_core.walls.build import end_with, filter_calls, raise_walls
from vcp_core.walls.handing import NotHandedOver, take_over
from vcp_core.walls.report import Walls, check, offered, policy
from vcp_core.walls.rules import python_files
from vcp_core.walls.user import give_up_reading

__all__ = [
    "NotHandedOver",
    "Walls",
    "check",
    "end_with",
    "filter_calls",
    "give_up_reading",
    "offered",
    "policy",
    "python_files",
    "raise_walls",
    "take_over",
]
