"""The filter of system calls, asked by a slow and plain interpreter of BPF, on both processors."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from vcp_core.catalog.errors import VcpbenchError, WallsMissing
from vcp_core.walls import seccomp
from vcp_core.walls.kernel import MACHINES
from vcp_core.walls.landlock import missing_from
from vcp_core.walls.report import NOT_ROOT, Walls, check, policy
from vcp_core.walls.seccomp import ALLOW, AUDIT_ARCH, ERRNO, KILL_PROCESS, program
from vcp_core.walls.syscalls import JUDGED, REFUSED, number

PID = 4711
REFUSE, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def ask(on: str, call: int, argument: int = 0, *, architecture: int | None = None) -> int:
    """Run the filter for one call, instruction by instruction."""
    data = {0: call, 4: AUDIT_ARCH[on] if architecture is None else architecture, 16: argument}
    steps, at, held = program(on, PID), 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == seccomp.RETURN:
            return value
        if code == seccomp.LOAD:
            held = data[value]
        else:
            true = {
                seccomp.JUMP_IF_EQUAL: held == value,
                seccomp.JUMP_IF_AT_LEAST: held >= value,
                seccomp.JUMP_IF_BITS: bool(held & value),
            }[code]
            at += if_true if true else if_false


def asked(on: str, name: str, argument: int = 0) -> int | None:
    found = number(name, on)
    return None if found is None else ask(on, found, argument)


@pytest.mark.parametrize("on", MACHINES)
def test_every_refused_call_is_refused_and_others_are_allowed(on: str) -> None:
    assert {asked(on, name) for name in REFUSED} - {None} == {REFUSE}
    refused = {number(name, on) for name in [*REFUSED, *JUDGED]}
    others = [call for call in range(480) if call not in refused]
    assert {ask(on, call) for call in others} == {ALLOW}
    assert len(others) > 300


@pytest.mark.parametrize("on", MACHINES)
def test_calls_are_judged_by_their_argument(on: str) -> None:
    assert asked(on, "clone", 0x003D0F00) == ALLOW  # the flags of a thread, as glibc sets them
    assert asked(on, "clone", 17) == REFUSE  # SIGCHLD: a process
    assert asked(on, "clone", 0x4000 | 0x100 | 17) == REFUSE  # CLONE_VFORK and CLONE_VM: posix_spawn
    assert asked(on, "clone3") == UNKNOWN
    assert (asked(on, "tgkill", PID), asked(on, "tgkill", 1)) == (ALLOW, REFUSE)
    assert (asked(on, "prlimit64", 0), asked(on, "prlimit64", PID)) == (ALLOW, REFUSE)
    assert (asked(on, "prctl", 1), asked(on, "prctl", 15)) == (REFUSE, ALLOW)  # PR_SET_PDEATHSIG, PR_SET_NAME


@pytest.mark.parametrize("on", MACHINES)
def test_a_process_of_another_architecture_is_killed(on: str) -> None:
    i386, other = 0x40000003, next(AUDIT_ARCH[name] for name in MACHINES if name != on)
    assert {ask(on, 39, architecture=one) for one in (i386, other)} == {KILL_PROCESS}


def test_the_second_numbers_of_x86_64_are_unknown() -> None:
    assert {ask("x86_64", 0x40000000 + call) for call in (0, 39, 41, 520, 545)} == {UNKNOWN}


@pytest.mark.parametrize("on", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(on: str) -> None:
    if not HEADERS[on].exists():
        pytest.skip(f"there is no {HEADERS[on]}")
    pattern = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    known: dict[str, int] = {}
    for name, value in re.findall(pattern, HEADERS[on].read_text()):
        known.setdefault(name, int(value))
    newer = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466}  # than many headers
    for name in [*REFUSED, *JUDGED]:
        assert number(name, on) == known.get(name, newer.get(name)), name


def test_a_policy_is_required_or_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VCPBENCH_WALLS", raising=False)
    assert policy() == "wanted"
    monkeypatch.setenv("VCPBENCH_WALLS", "yes")
    with pytest.raises(VcpbenchError, match=r"VCPBENCH_WALLS is 'yes'\. Set it to required or wanted"):
        check()


def test_required_walls_that_are_missing_are_named_and_an_ordinary_user_is_none() -> None:
    ordinary = Walls(standing=("landlock",), missing={"user": NOT_ROOT})
    ordinary.refuse_gaps("required")
    lacking = Walls(missing={"user": NOT_ROOT, "landlock": missing_from(0), "seccomp": "the kernel has none"})
    lacking.refuse_gaps("wanted")
    with pytest.raises(WallsMissing, match=r"foreign files: landlock \(files, .*\), seccomp \(the kernel"):
        lacking.refuse_gaps("required")


def test_an_old_landlock_is_not_taken_for_a_whole_one() -> None:
    assert [missing_from(abi).count(",") + bool(missing_from(abi)) for abi in range(8)] == [
        5,
        4,
        4,
        3,
        2,
        1,
        0,
        0,
    ]
