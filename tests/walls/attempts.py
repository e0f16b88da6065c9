"""What code that took over the reader's child could try. It runs in the child, in place of the reader.

An attempt that succeeds returns. One that fails raises the kernel's OSError, whose errno `run` notes.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vcp_core.checkpoints import child
from vcp_core.walls import Walls, python_files
from vcp_core.walls.kernel import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, machine, prctl, syscall
from vcp_core.walls.syscalls import number

SPARE_UID = 61_234  # of no account
PTRACE_SEIZE, PR_GET_PDEATHSIG = 0x4206, 2
CLONE_NEWUSER, X32_GETPID = 0x10000000, 0x40000000 + 39
AT_FDCWD = -100
FDS = 50

Targets = dict[str, Any]


def call(name: str, *values: object) -> None:
    """Make a system call by its name on this processor."""
    on = machine()
    wanted = number(name, on) if on else None
    if wanted is None:
        raise OSError(errno.EPERM, "no such call on this processor, so it cannot be tried")
    got = syscall(wanted, *values)
    if name in ("fork", "vfork", "clone", "clone3") and got == 0:
        os._exit(0)  # the new process


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def write(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    path.unlink()


def connect(family: int, address: Any) -> None:
    with socket.socket(family) as client:
        client.connect(address)


def bind() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def shell() -> None:
    """Start a shell the usual way, which needs a new process."""
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], {}), 0)


def daemonise() -> None:
    """Fork twice, as a program does that outlives its parent."""
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            time.sleep(0)
        os._exit(0)
    os.waitpid(pid, 0)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def clone() -> None:
    call("clone", signal.SIGCHLD, None, None, None, None)


def shared_memory() -> None:
    call("shmget", 0, 4096, 0o600)


def link(out: Path) -> None:
    os.symlink("/etc/passwd", out / "link")


def vm_read(parent: int) -> None:
    here = (ctypes.c_char * 1)()
    part = (ctypes.c_size_t * 2)(ctypes.addressof(here), 1)
    call("process_vm_readv", parent, ctypes.byref(part), 1, ctypes.byref(part), 1, 0)


def x32() -> None:
    if machine() != "x86_64":
        raise OSError(errno.ENOSYS, "not on this processor")
    syscall(X32_GETPID)


def thread() -> None:
    one = threading.Thread(target=os.getpid)
    one.start()
    one.join()
    while Path(f"/proc/self/task/{one.native_id}").exists():  # `join` returns before the kernel's thread ends
        time.sleep(0.001)


def attempts(out: Path, to: Targets) -> dict[str, Callable[[], object]]:
    parent, installation = to["parent"], Path(to["installation"])
    buffer = (ctypes.c_char * 256)()
    at = ctypes.byref(buffer)
    return {
        # What the reader needs. These must succeed, or the others prove nothing.
        "write to the output folder": lambda: write(out / "note"),
        "read its packages": lambda: read(to["package"]),
        "start a thread": thread,
        "limit itself": lambda: call("prlimit64", 0, 7, None, at),
        # Files
        "read the parent's environment": lambda: read(f"/proc/{parent}/environ"),
        "read the parent's memory": lambda: read(f"/proc/{parent}/mem"),
        "read a token file": lambda: read(to["token"]),
        "read /etc/passwd": lambda: read("/etc/passwd"),
        "list /": lambda: os.listdir("/"),
        "list the parent's files": lambda: os.listdir(f"/proc/{parent}/fd"),
        "write to the installation": lambda: write(installation / "planted.py"),
        "write to /tmp": lambda: write(Path(f"/tmp/planted-{os.getpid()}")),
        "write to the token file": lambda: os.close(os.open(to["token"], os.O_WRONLY)),
        "link to another file": lambda: link(out),
        "change a token file's mode": lambda: os.chmod(to["token"], 0o644),
        "change a token file's times": lambda: os.utime(to["token"]),
        "open a file by its handle": lambda: call("open_by_handle_at", AT_FDCWD, at, 0),
        # Network
        "connect by TCP": lambda: connect(socket.AF_INET, ("127.0.0.1", to["tcp"])),
        "listen on TCP": bind,
        "connect to a unix socket": lambda: connect(socket.AF_UNIX, to["unix"]),
        "connect to an abstract socket": lambda: connect(socket.AF_UNIX, to["abstract"]),
        "make a pair of sockets": lambda: socket.socketpair(),
        "set up io_uring": lambda: call("io_uring_setup", 1, at),
        # Programs and processes
        "start a shell": shell,
        "become a shell": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
        "fork": fork,
        "fork twice": daemonise,
        "the call fork": lambda: call("fork"),
        "clone": clone,
        "clone3": lambda: call("clone3", None, 0),
        "ptrace the parent": lambda: call("ptrace", PTRACE_SEIZE, parent, None, None),
        "read the parent's memory by a call": lambda: vm_read(parent),
        "signal the parent": lambda: os.kill(parent, signal.SIGCONT),
        "signal the parent's thread": lambda: call("tgkill", parent, parent, signal.SIGCONT),
        "open the parent's pidfd": lambda: os.close(os.pidfd_open(parent)),
        "take the parent's files": lambda: call("pidfd_getfd", FDS, 0, 0),
        "limit the parent": lambda: call("prlimit64", parent, 7, None, at),
        "outlive the parent": lambda: prctl(PR_SET_PDEATHSIG, 0),
        "share memory by a number": shared_memory,
        # The kernel
        "keyctl": lambda: call("keyctl", 0, -3, 0),
        "add_key": lambda: call("add_key", b"user", b"x", b"x", 1, -3),
        "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "unmount": lambda: call("umount2", b"/proc", 0),
        "unshare": lambda: call("unshare", CLONE_NEWUSER),
        "setns": lambda: call("setns", FDS, 0),
        "chroot": lambda: os.chroot("/"),
        "bpf": lambda: call("bpf", 0, at, 48),
        "perf_event_open": lambda: call("perf_event_open", at, 0, -1, -1, 0),
        "userfaultfd": lambda: call("userfaultfd", 0),
        "become root": lambda: os.setresuid(0, 0, 0),
        "a call of the x32 ABI": x32,
    }


def run(out: Path, to: Targets) -> dict[str, int]:
    """Make all attempts that are asked for, and note the errno of each; 0 if it succeeded."""
    found = {}
    for name, attempt in attempts(out, to).items():
        if name in to["skip"]:
            continue
        try:
            attempt()
            found[name] = 0
        except OSError as error:
            found[name] = error.errno or -1
    return found


def state() -> list[dict[str, str]]:
    """What the kernel says of each thread of this process."""
    wanted = ("Uid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    told = []
    for task in Path("/proc/self/task").iterdir():
        lines = (line.partition(":") for line in (task / "status").read_text().splitlines())
        told.append({name: " ".join(value.split()) for name, _, value in lines if name in wanted})
    return told


def instead_of_reading(
    handed: child.Handed, name: str, walls: Walls, ceiling: object, job: dict[str, Any]
) -> dict[str, Any]:
    """Take the place of `child._answer`: the walls stand, and the reader's imports are still to come."""
    early = run(handed.folder, job["targets"]) if job["targets"]["early"] else {}
    child._import_everything(graphs=False)
    signalled = ctypes.c_int()
    prctl(PR_GET_PDEATHSIG, ctypes.addressof(signalled))
    return {
        "standing": walls.standing,
        "missing": dict(walls.missing),
        "early": early,
        "found": run(handed.folder, job["targets"]),
        "state": state(),
        "pdeathsig": signalled.value,
        "environment": dict(os.environ),
        "left": os.listdir(handed.folder),
    }


def main(job: dict[str, Any]) -> None:
    """Start as the reader's child does, and attack from within."""
    child._answer = instead_of_reading  # type: ignore[assignment]
    without = job["targets"]["without"]
    if "filter" in without:
        child.filter_calls = lambda walls: walls
    if "walls" in without:
        child.raise_walls = lambda **_: Walls()
        child.give_up_reading = lambda: None
    if job["targets"]["ordinary"]:
        fork_as_ordinary(job)
    else:
        child.main(job)


def fork_as_ordinary(job: dict[str, Any]) -> None:
    """Become an ordinary user, and let a fork of this process be the reader's child.

    A fork, because this user may not be able to start the interpreter, which can lie below /root.
    """
    for name in (*child.IMPORTED, *child.LATE):
        importlib.import_module(name)
    python_files(child.PACKAGES)  # loads what it needs of the standard library
    become_ordinary()
    job["parent"] = job["targets"]["parent"] = os.getpid()
    pid = os.fork()
    if pid == 0:
        child.main(job)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def become_ordinary() -> None:
    """Give root up, as if another user had started the process."""
    os.setgroups([])
    os.setresgid(SPARE_UID, SPARE_UID, SPARE_UID)
    os.setresuid(SPARE_UID, SPARE_UID, SPARE_UID)
    prctl(PR_SET_DUMPABLE, 1)  # so that this user's other processes may look


def ingest_and_tell_imports(job: dict[str, Any]) -> None:
    """Read the file, and tell which modules were imported after the walls stood and the imports were done."""
    before: set[str] = set()
    read_file, answer = child.ingest_here, child._answer

    def ingest_here(*args: Any, **options: Any) -> Any:
        before.update(sys.modules)
        return read_file(*args, **options)

    def answer_and_tell(*args: Any) -> dict[str, Any]:
        given = answer(*args)
        return {**given, "late": sorted(set(sys.modules) - before) if before else None}

    child.ingest_here = ingest_here
    child._answer = answer_and_tell
    child.main(job)
