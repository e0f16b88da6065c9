"""Build the walls around this process, in the only order that works.

Landlock and capabilities bind the thread that gives them up, so the process has one thread until then.
Landlock and seccomp need no_new_privs. Landlock's rules are opened before the user changes, because only root
may reach the files. Seccomp comes last: it refuses calls that the other walls need.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from vcp_core.walls import landlock, seccomp, user
from vcp_core.walls.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, machine, num_threads, prctl
from vcp_core.walls.report import NO_CALLS, NOT_ROOT, Walls


def raise_walls(*, read: Iterable[Path], write: Iterable[Path], devices: Iterable[Path] = ()) -> Walls:
    """Build all walls but the filter of system calls. The process must have one thread.

    If root started the process, the folders of `write` become the property of the process's new user.

    Args:
        read: Files, and folders with all that is in them, that the process may still read.
        write: Folders that it may read and write.
        devices: Device files, and folders of them, that it may use.

    Returns:
        The walls that stand. A wall that the kernel lacks is not built, and the others are.

    Raises:
        RuntimeError: If the process has more than one thread. No wall is built then.
    """
    if machine() is None:
        missing = {"no_new_privs": NO_CALLS, "landlock": NO_CALLS, "user": NO_CALLS}
        return Walls(missing=missing)
    threads = num_threads()
    if threads != 1:
        raise RuntimeError(f"walls bind one thread, and this process has {threads}")
    read, write, devices = tuple(read), tuple(write), tuple(devices)
    walls = _with(Walls(), "no_new_privs", lambda: prctl(PR_SET_NO_NEW_PRIVS, 1))
    walls = _with(walls, "landlock", lambda: landlock.restrict(read, write, devices))
    lacks = landlock.missing_from(landlock.newest())
    if "landlock" in walls.standing and lacks:
        walls = _without(walls, "landlock", f"it does not limit {lacks}")
    if os.geteuid() == 0:
        return _with(walls, "user", lambda: _change_user(read, write))
    user.give_up_reading()  # a user's process can have been started with capabilities, too
    return _without(walls, "user", NOT_ROOT)


def filter_calls(walls: Walls) -> Walls:
    """Build the last wall, the filter of system calls, for all threads of this process.

    Args:
        walls: What `raise_walls` returned.
    """
    if machine() is None:
        return _without(walls, "seccomp", NO_CALLS)
    return _with(walls, "seccomp", seccomp.install)


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends. A change of user undoes it, so call it after.

    Args:
        parent: Process id of the parent. If the parent has ended already, this process ends at once.
    """
    if machine() is None:
        return
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _change_user(read: tuple[Path, ...], write: tuple[Path, ...]) -> None:
    uid = user.own_uid()
    for folder in write:
        os.chown(folder, uid, uid)
    user.give_up_root(read)


def _with(walls: Walls, name: str, build: Callable[[], object]) -> Walls:
    try:
        build()
    except OSError as error:
        return _without(walls, name, error.strerror or str(error))
    return Walls(standing=(*walls.standing, name), missing=walls.missing)


def _without(walls: Walls, name: str, why: str) -> Walls:
    standing = tuple(wall for wall in walls.standing if wall != name)
    return Walls(standing=standing, missing={**walls.missing, name: why})
