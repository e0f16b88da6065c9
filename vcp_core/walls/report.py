"""Which walls stand, which this machine lacks, and whether work goes on without one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from vcp_core.catalog.errors import VcpbenchError, WallsMissing
from vcp_core.walls import landlock, seccomp
from vcp_core.walls.kernel import PR_GET_NO_NEW_PRIVS, machine, prctl

NAMES = ("no_new_privs", "landlock", "user", "seccomp")  # in the order in which they are built
VARIABLE = "VCPBENCH_WALLS"
REQUIRED, WANTED = "required", "wanted"
NOT_ROOT = "not started by root, so the process keeps its user"
NO_CALLS = "not Linux on x86-64 or aarch64"


@dataclass(frozen=True, kw_only=True)
class Walls:
    """The walls around a process.

    Attributes:
        standing: Names of the walls that stand, in the order in which they were built.
        missing: Names of the others, with the reason.
    """

    standing: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def lacking(self) -> dict[str, str]:
        """The missing walls that the machine should have. A process of an ordinary user has no other user.

        >>> Walls(missing={"user": NOT_ROOT, "landlock": "Function not implemented"}).lacking
        {'landlock': 'Function not implemented'}
        """
        return {name: why for name, why in self.missing.items() if why != NOT_ROOT}

    def refuse_gaps(self, policy: str) -> None:
        """Raise an error if the walls are required and one is lacking.

        Args:
            policy: "required" or "wanted".

        Raises:
            WallsMissing: If `policy` is "required" and the machine lacks a wall. It names all.
        """
        if policy == REQUIRED and self.lacking:
            named = ", ".join(f"{name} ({why})" for name, why in self.lacking.items())
            raise WallsMissing(
                f"This machine cannot build these walls around foreign files: {named}. {VARIABLE} is "
                f"{REQUIRED}, so no foreign file is opened. Use a newer kernel (docs/operating.md), or set "
                f"{VARIABLE} to {WANTED}."
            )


def policy() -> str:
    """Whether foreign files are opened where a wall is missing: "required" or "wanted", the default.

    Raises:
        VcpbenchError: If `VCPBENCH_WALLS` has another value.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, VCPBENCH_WALLS="required"):
    ...     policy()
    'required'
    """
    value = os.environ.get(VARIABLE) or WANTED
    if value not in (REQUIRED, WANTED):
        raise VcpbenchError(f"{VARIABLE} is {value!r}. Set it to {REQUIRED} or {WANTED}.")
    return value


def offered() -> Walls:
    """Ask which walls this machine offers to a child of this process. None is built.

    >>> walls = offered()
    >>> sorted([*walls.standing, *walls.missing]) == sorted(NAMES)
    True
    """
    missing = {}
    abi = landlock.newest()
    if machine() is None:
        missing = dict.fromkeys(NAMES, NO_CALLS)
    else:
        if not _has_no_new_privs():
            missing["no_new_privs"] = "the kernel is older than 3.5"
        if lacks := landlock.missing_from(abi):
            missing["landlock"] = f"version {abi} of the kernel's Landlock does not limit {lacks}"
        if not seccomp.exists():
            missing["seccomp"] = "the kernel has no seccomp"
    if os.geteuid() != 0:
        missing["user"] = NOT_ROOT
    return Walls(standing=tuple(name for name in NAMES if name not in missing), missing=missing)


def check() -> Walls:
    """Return the walls that this machine offers, or refuse to go on if `VCPBENCH_WALLS` requires more.

    Raises:
        WallsMissing: If a wall is required and the machine lacks it.
        VcpbenchError: If `VCPBENCH_WALLS` has no valid value.
    """
    walls = offered()
    walls.refuse_gaps(policy())
    return walls


def _has_no_new_privs() -> bool:
    try:
        return prctl(PR_GET_NO_NEW_PRIVS) >= 0
    except OSError:
        return False
