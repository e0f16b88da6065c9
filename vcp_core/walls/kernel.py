"""Calls of the Linux kernel that Python does not offer, through ctypes. Numbers are those of linux/*.h."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_GET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP = 21, 23, 24
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
MACHINES = ("x86_64", "aarch64")  # the processors whose system calls syscalls.py lists

_libc = ctypes.CDLL(None, use_errno=True)


def machine() -> str | None:
    """Name the processor if the walls know its system calls, else None.

    >>> machine() in (None, "x86_64", "aarch64")
    True
    """
    name = os.uname().machine
    # A 32-bit Python on a 64-bit kernel makes calls by other numbers.
    return name if sys.platform == "linux" and name in MACHINES and sys.maxsize > 1 << 32 else None


def syscall(number: int, *values: object) -> int:
    """Make a system call. Integers are passed as C longs.

    Raises:
        OSError: If the kernel refuses the call.

    >>> syscall(-1) if machine() else 0
    Traceback (most recent call last):
    OSError: [Errno 38] Function not implemented
    """
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_as_c, values)))


def prctl(option: int, *values: int) -> int:
    """Ask the kernel about this process, or change it. Values that are left out are zeros.

    Args:
        option: What is asked, one of the PR_ numbers of prctl(2).
        values: The option's arguments.

    Raises:
        OSError: If the kernel refuses the call.
    """
    filled = (*values, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, filled)))


def num_threads() -> int:
    """Count the threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


def _as_c(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
