"""The folder of one installation: its data, logs, token, lock, and the state of its supervisor."""

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
PRIVATE = 0o600
IN_USE = 75  # exit code of a supervisor if another has the home (EX_TEMPFAIL of sysexits.h)
GLANCE_S = 1.0  # how long to retry the lock: `Home.running` of another process holds it for a moment


class StackError(VcpbenchError):
    """An installation cannot be started, or cannot be stopped."""


class HomeInUse(StackError):
    """Another supervisor runs in this home."""


@dataclass(frozen=True)
class ProgramState:
    """The state of a supervised process, as `vcpbench status` shows it.

    Attributes:
        name: Such as "worker-cpu".
        pid: The process id, or None while the process waits to be restarted.
        started_at: The time of the last start, in seconds since the epoch.
        restarts: How often the process was restarted.
        log: The path of its log.
    """

    name: str
    pid: int | None
    started_at: float
    restarts: int
    log: str


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The state that the supervisor writes into the home.

    Attributes:
        pid: The process id of the supervisor.
        url: The address of the API.
        phase: The phase of the supervisor.
        step: The current step of a start or stop.
        reason: Why the start failed, if it did.
        data: The folder of PostgreSQL's data.
        programs: The states of all supervised processes.
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
    secrets: Path = field(init=False)
    engines: Path = field(init=False)

    def __post_init__(self) -> None:
        for name in ("lock", "logs", "token", "objects", "scratch", "secrets", "engines"):
            object.__setattr__(self, name, self.folder / name)

    @classmethod
    def chosen(cls, folder: Path | None) -> Home:
        """Choose the given folder, else `VCPBENCH_HOME`, else the default folder of the user, or of root."""
        named = os.environ.get("VCPBENCH_HOME")
        default = ROOTS_FOLDER if os.getuid() == 0 else data_dir() / "stack"
        return cls((folder or (Path(named) if named else default)).expanduser().absolute())

    def make(self) -> None:
        """Make the folders of the installation.

        Raises:
            StorageError: If a folder cannot be made.
        """
        try:
            # In root's home, PostgreSQL's account must pass through, but it can read nothing here.
            make_folder(self.folder, 0o711 if os.getuid() == 0 else 0o700)
            for folder in (self.logs, self.objects, self.scratch, self.secrets):
                make_folder(folder, 0o700)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the installation, so that only one supervisor runs in it.

        Raises:
            HomeInUse: If another supervisor holds the lock.
            StorageError: If the folder cannot be used.
        """
        try:
            file = open(self.lock, "a", encoding="ascii", opener=_private)  # noqa: SIM115
            os.fchmod(file.fileno(), PRIVATE)  # an older version made it readable, and a reader can lock it
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
        """The state of the supervisor that runs here, or None. Its `pid` is 0 until it is known.

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
            # A shared lock: two processes that only look must not take each other for a supervisor.
            if _lock(file, fcntl.LOCK_SH):
                return None
            words = file.read()
        pid = int(words) if words.strip().isdecimal() and self.supervised_by(int(words)) else 0
        said = self.state()
        if said is not None and pid and said.pid == pid:
            return said
        return StackState(pid=pid, url="", phase="starting", step="starting the supervisor")

    def supervised_by(self, pid: int) -> bool:
        """Whether the process is a supervisor of this home.

        The number alone proves nothing: another program may have it by now. So this reads the command line.
        """
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return os.path.samefile(words[words.index(SUPERVISOR.encode()) + 1], self.folder)
        except (OSError, ValueError, IndexError):
            return False

    def state(self) -> StackState | None:
        """Read the state that the supervisor wrote last. The supervisor may have ended since."""
        try:
            values: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            programs = tuple(ProgramState(**program) for program in values.pop("programs"))
            return StackState(**values, programs=programs)
        except (OSError, ValueError, KeyError, TypeError):  # no file, or a file of another version
            return None

    def write(self, state: StackState) -> None:
        """Write the supervisor's state. Only its owner may read it."""
        write_json(self.folder / "state.json", asdict(state), mode=PRIVATE)

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(f"{self.folder} cannot be used: {error.strerror}. Choose another folder: --home.")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
