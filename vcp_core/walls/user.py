"""Give up root: a user id of its own for each walled process, no groups, no capabilities."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from vcp_core.walls.kernel import (
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_SET_KEEPCAPS,
    machine,
    prctl,
    syscall,
)
from vcp_core.walls.syscalls import number

# A process's user id is this number plus its process id, which is below 2^22 (PID_MAX_LIMIT). So two living
# processes never share one. systemd's table (UIDS-GIDS) and shadow's subordinate ids leave the range free.
FIRST_UID = 1_900_000_000
CAP_DAC_READ_SEARCH = 2  # linux/capability.h
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def own_uid() -> int:
    """Choose the user id of this process, and the id of its group."""
    return FIRST_UID + os.getpid()


def give_up_root(needed: Iterable[Path]) -> None:
    """Become the user `own_uid`, for good.

    Args:
        needed: Files and folders that will still be read. If only root can reach one, such as an interpreter
            below /root, the capability to read it stays until `give_up_reading`.

    Raises:
        OSError: If this process is not allowed to, or the kernel knows no such user id.
    """
    uid = own_uid()
    os.setgroups([])
    _empty_bounding_set()
    prctl(PR_SET_KEEPCAPS, 1)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # `os.access` answers for the user alone: the kernel leaves capabilities out.
    reachable = all(os.access(path, os.R_OK) for path in needed)
    _keep(0 if reachable else 1 << CAP_DAC_READ_SEARCH)


def give_up_reading() -> None:
    """Give up the last capabilities of this thread. Every thread must call it."""
    if machine() is not None:
        _keep(0)


def _empty_bounding_set() -> None:
    capability = 0
    while True:
        try:
            prctl(PR_CAPBSET_READ, capability)
        except OSError:  # the kernel has no more capabilities
            return
        prctl(PR_CAPBSET_DROP, capability)
        capability += 1


def _keep(capabilities: int) -> None:
    on = machine()
    call = number("capset", on) if on else None
    assert call is not None
    data = (_Data * 2)(_Data(capabilities, capabilities, 0), _Data(0, 0, 0))
    syscall(call, ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), data)
