"""One installation's folder: data, logs, token, and who is running it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from stack.accounts import ROOTS_FOLDER, make_folder
from vcp_core.catalog.errors import StorageError, VcpbenchError
from vcp_core.catalog.files import write_json
from vcp_core.catalog.paths import data_dir

Phase = Literal["starting", "ready", "failed", "stopping"]


SUPERVISOR = "stack.installation"  # the module that a supervisor's command line names, before its home
IN_USE = 75  # its exit code if another has the home (EX_TEMPFAIL of sysexits.h)
GLANCE_S = 1.0  # a process that only looks whether a supervisor runs holds the lock for a moment


class StackError(VcpbenchError):
    """A stack that cannot be started, or stopped."""


class HomeInUse(StackError):
    """Another supervisor runs in this home."""


@dataclass(frozen=True)
class ProgramState:
    """A supervised process, for people.

    Attributes:
        name: Such as "worker-cpu".
        pid: Of the process; None while it waits to be restarted.
        started_at: Seconds since the epoch.
        restarts: How often it was started again.
        log: Where it writes.
    """

    name: str
    pid: int | None
    started_at: float
    restarts: int
    log: str


@dataclass(frozen=True, kw_only=True)
class StackState:
    """What the supervisor says of itself.

    Attributes:
        pid: Of the supervisor.
        url: Of the API.
        phase: Where it is.
        step: What it is doing, while it starts.
        reason: Why it failed.
        data: Where the engines keep their data.
        programs: All processes.
    """

    pid: int
    url: str
    phase: Phase
    step: str = ""
    reason: str = ""
    data: str = ""
    programs: tuple[ProgramState, ...] = ()


@dataclass(frozen=True)
class Home:
    """The folder of an installation."""

    folder: Path
    lock: Path = field(init=False)
    logs: Path = field(init=False)
    token: Path = field(init=False)
    objects: Path = field(init=False)
    scratch: Path = field(init=False)
    engines: Path = field(init=False)

    def __post_init__(self) -> None:
        for name in ("lock", "logs", "token", "objects", "scratch", "engines"):
            object.__setattr__(self, name, self.folder / name)

    @classmethod
    def chosen(cls, folder: Path | None) -> Home:
        """The given folder; else `VCPBENCH_HOME`; else the user's own place, for root the machine's."""
        named = os.environ.get("VCPBENCH_HOME")
        default = ROOTS_FOLDER if os.getuid() == 0 else data_dir() / "stack"
        return cls((folder or (Path(named) if named else default)).expanduser().absolute())

    def make(self) -> None:
        """Make the folders.

        Raises:
            StorageError: If that is not possible.
        """
        try:
            # As root, PostgreSQL's account must pass through; nothing in here is readable by it.
            make_folder(self.folder, 0o711 if os.getuid() == 0 else 0o700)
            for folder in (self.logs, self.objects, self.scratch):
                make_folder(folder, 0o700)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the installation: one supervisor at a time, for as long as it lives.

        Raises:
            HomeInUse: If another has it.
            StorageError: If the folder cannot be used.
        """
        try:
            file = self.lock.open("a", encoding="ascii")
        except OSError as error:
            raise self._unusable(error) from error
        with file:
            deadline = time.monotonic() + GLANCE_S
            while not _lock(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise HomeInUse(f"{self.folder} is in use by a running stack.")
                time.sleep(0.01)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def running(self) -> StackState | None:
        """What runs here now, if anything does; its `pid` is 0 as long as it has not said who it is.

        Raises:
            StorageError: If the folder cannot be read.
        """
        try:
            file = self.lock.open(encoding="ascii")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unusable(error) from error
        with file:
            if _lock(file, fcntl.LOCK_SH):  # shared: other processes that only look do not block this one
                return None
            words = file.read()
        pid = int(words) if words.strip().isdecimal() and self.supervised_by(int(words)) else 0
        said = self.state()
        if said is not None and pid and said.pid == pid:
            return said
        return StackState(pid=pid, url="", phase="starting", step="starting the supervisor")

    def supervised_by(self, pid: int) -> bool:
        """Whether that process is a supervisor of this very home; a number alone may be anybody's by now."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return os.path.samefile(words[words.index(SUPERVISOR.encode()) + 1], self.folder)
        except (OSError, ValueError, IndexError):
            return False

    def state(self) -> StackState | None:
        """What the supervisor said last, whether it lives or not."""
        try:
            values: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            programs = tuple(ProgramState(**program) for program in values.pop("programs"))
            return StackState(**values, programs=programs)
        except (OSError, ValueError, KeyError, TypeError):  # none, or one of another version
            return None

    def write(self, state: StackState) -> None:
        """Say where the supervisor is."""
        write_json(self.folder / "state.json", asdict(state))

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(f"{self.folder} cannot be used: {error.strerror}. Choose another: --home.")


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
