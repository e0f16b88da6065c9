"""Seccomp: a filter that the kernel asks before each system call of this process.

The filter is a program of classic BPF: linux/filter.h, linux/seccomp.h, linux/audit.h.
"""

from __future__ import annotations

import ctypes
import errno
import os

from vcp_core.walls.kernel import PR_GET_SECCOMP, PR_SET_PDEATHSIG, machine, prctl, syscall
from vcp_core.walls.syscalls import REFUSED, number

SET_MODE_FILTER, FLAG_TSYNC = 1, 1  # TSYNC: for all threads of the process
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data; the argument's lower half
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_CALLS = 0x40000000  # x86-64 has a second set of numbers from here on, for the x32 ABI
CLONE_THREAD = 0x00010000


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


Step = tuple[int, int, int, int]  # code, steps to skip if true, steps to skip if false, value


def exists() -> bool:
    """Whether the kernel has seccomp, and its numbers of system calls are known here."""
    if machine() is None:
        return False
    try:
        return prctl(PR_GET_SECCOMP) >= 0
    except OSError:
        return False


def program(on: str, pid: int) -> list[Step]:
    """Write the filter for a process on a processor ("x86_64" or "aarch64").

    Every call that the filter does not name is allowed. A process of another architecture is killed.

    >>> len(program("aarch64", 1)) < len(program("x86_64", 1)) < 4096  # the kernel's most
    True
    """
    refuse: Step = (RETURN, 0, 0, ERRNO | errno.EPERM)
    unknown: Step = (RETURN, 0, 0, ERRNO | errno.ENOSYS)
    allow: Step = (RETURN, 0, 0, ALLOW)
    argument: Step = (LOAD, 0, 0, FIRST_ARGUMENT)

    def call(name: str, *then: Step) -> list[Step]:
        asked = number(name, on)
        return [] if asked is None else [(JUMP_IF_EQUAL, 0, len(then), asked), *then]

    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, AUDIT_ARCH[on]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        *([(JUMP_IF_AT_LEAST, 0, 1, X32_CALLS), unknown] if on == "x86_64" else []),
        # A filter cannot read clone3's flags, which lie in memory. glibc then takes clone for its threads.
        *call("clone3", unknown),
        *call("clone", argument, (JUMP_IF_BITS, 0, 1, CLONE_THREAD), allow, refuse),
        *call("tgkill", argument, (JUMP_IF_EQUAL, 0, 1, pid), allow, refuse),  # abort() signals itself
        *call("prlimit64", argument, (JUMP_IF_EQUAL, 0, 1, 0), allow, refuse),  # 0: the process itself
        *call("prctl", argument, (JUMP_IF_EQUAL, 0, 1, PR_SET_PDEATHSIG), refuse, allow),  # its parent's end
        *(step for name in REFUSED for step in call(name, refuse)),
        allow,
    ]


def install() -> None:
    """Filter the system calls of all threads of this process, for good. It needs no_new_privs.

    Raises:
        OSError: If the kernel has no seccomp, or a thread has a filter of its own.
    """
    on = machine()
    if on is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    steps = program(on, os.getpid())
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    filtered = _Program(len(steps), instructions)
    call = number("seccomp", on)
    assert call is not None
    odd = syscall(call, SET_MODE_FILTER, FLAG_TSYNC, ctypes.byref(filtered))
    if odd:  # the id of a thread that could not take the filter
        raise OSError(errno.ESRCH, "one thread has another filter")
