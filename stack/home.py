"""One installation's folder: data, logs, token, and who is running it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stack.accounts import ROOTS_PLACE, make_folder
from vcp_core.catalog.errors import StorageError, VcpbenchError
from vcp_core.catalog.files import write_json
from vcp_core.catalog.paths import data_dir

Phase = Literal["starting", "ready", "failed", "stopping"]


class StackError(VcpbenchError):
    """A stack that cannot be started, or stopped."""


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
    logs: Path = field(init=False)
    token: Path = field(init=False)
    objects: Path = field(init=False)
    scratch: Path = field(init=False)
    engines: Path = field(init=False)

    def __post_init__(self) -> None:
        for name in ("logs", "token", "objects", "scratch", "engines"):
            object.__setattr__(self, name, self.folder / name)

    @classmethod
    def chosen(cls, folder: Path | None) -> Home:
        """The given folder; else `VCPBENCH_HOME`; else the user's own place, for root the machine's."""
        named = os.environ.get("VCPBENCH_HOME")
        default = ROOTS_PLACE if os.getuid() == 0 else data_dir() / "stack"
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
            raise StorageError(
                f"{self.folder} cannot be used: {error.strerror}. Choose another: --home."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the installation: one supervisor at a time, for as long as it lives.

        Raises:
            StackError: If another has it.
        """
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(f"{self.folder} is in use by a running stack.") from None
            yield

    def running(self) -> StackState | None:
        """What runs here now, if anything does."""
        if not self.folder.is_dir():
            return None
        try:
            with self.locked():
                return None
        except StackError:
            return self.state() or StackState(pid=0, url="", phase="starting")

    def state(self) -> StackState | None:
        """What the supervisor said last, whether it lives or not."""
        try:
            values: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        programs = tuple(ProgramState(**program) for program in values.pop("programs"))
        return StackState(**values, programs=programs)

    def write(self, state: StackState) -> None:
        """Say where the supervisor is."""
        write_json(self.folder / "state.json", asdict(state))

    @contextmanager
    def _lock_file(self) -> Iterator[Any]:
        try:
            with (self.folder / "lock").open("a") as file:
                yield file
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be used: {error.strerror}. Choose another: --home."
            ) from error
