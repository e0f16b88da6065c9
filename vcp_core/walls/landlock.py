"""Landlock: which files this thread, and every thread that it starts, may open from now on.

Numbers and structures are those of linux/landlock.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from vcp_core.walls.kernel import machine, syscall
from vcp_core.walls.syscalls import LANDLOCK_ADD_RULE, LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF

CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REG = 1 << 5, 1 << 8
FIRST_RIGHTS = (1 << 13) - 1  # ABI 1: execute, write, read, list, remove, make
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since ABI 2, 3 and 5
BIND_AND_CONNECT_TCP = 3  # since ABI 4
ABSTRACT_SOCKETS_AND_SIGNALS = 3  # since ABI 6; both end at the border of the walled process

READ = READ_FILE | READ_DIR  # never execute: a library needs only to be read
WRITE = READ | WRITE_FILE | TRUNCATE | MAKE_REG | REMOVE_FILE  # regular files; no folders, links or devices
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV
FOR_FILES = WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the rights above that exist for a file


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def newest() -> int:
    """Ask the kernel for its version of Landlock (its ABI). 0: it has none, or it is turned off.

    >>> newest() >= 0
    True
    """
    if machine() is None:
        return 0
    try:
        return syscall(LANDLOCK_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def missing_from(abi: int) -> str:
    """Say what this version of Landlock cannot refuse; "" if nothing is missing.

    >>> missing_from(7), missing_from(5)
    ('', 'signals to other processes')
    """
    since = ((1, "files"), (3, "truncating files"), (4, "TCP"), (5, "devices"))
    lacks = [what for first, what in since if abi < first]
    return ", ".join([*lacks, *(["signals to other processes"] if abi < 6 else [])])


def restrict(read: Iterable[Path], write: Iterable[Path], devices: Iterable[Path] = ()) -> None:
    """Refuse this thread all files but these. It must be the only thread, because no other one is bound.

    Args:
        read: Files, and folders with all that is in them, that may be read. Missing ones are left out.
        write: Folders whose files may be read, made, written and removed.
        devices: Device files that may be used, and folders of them.

    Raises:
        OSError: If the kernel has no Landlock.
    """
    abi = newest()
    handled = FIRST_RIGHTS
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        handled |= right if abi >= since else 0
    rules = _Ruleset(
        handled,
        BIND_AND_CONNECT_TCP if abi >= 4 else 0,
        ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    size = ctypes.sizeof(rules) if abi >= 6 else 16 if abi >= 4 else 8  # older kernels know fewer fields
    ruleset = syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(rules), size, 0)
    try:
        for paths, rights in ((read, READ), (write, WRITE), (devices, DEVICE)):
            for path in paths:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    _allow(ruleset, path, rights & handled)
        syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= FOR_FILES  # the kernel refuses a rule for a file that names rights of folders
        rule = _PathBeneath(rights, beneath)
        syscall(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(beneath)
