"""Choose the account that the engines (PostgreSQL and Valkey) run as, and folders that it can reach.

PostgreSQL refuses to run as root, and no server should. If root starts the engines, they run as an
unprivileged account of the machine. If another user starts them, they run as that user. This module never
loosens the mode of an existing folder. If the account cannot reach a folder, its files go to another one.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import StorageError, VcpbenchError

ACCOUNTS = ("postgres", "nobody")
ROOTS_FOLDER = Path("/var/lib/vcpbench")
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), its closing zero apart
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class EngineError(VcpbenchError):
    """An engine that cannot be started."""


@dataclass(frozen=True)
class Account:
    """The account that runs an engine. Ids of `None` mean the account of this process."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def for_engines(cls) -> Account:
        """Choose an unprivileged account if this process runs as root, else this process's own account.

        Raises:
            EngineError: If this process runs as root, and the machine has none of `ACCOUNTS`.
        """
        if os.getuid() != 0:
            return cls()
        for name in ACCOUNTS:
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(found.pw_uid, found.pw_gid)
        raise EngineError(
            f"Root cannot run PostgreSQL, and there is no account {' or '.join(ACCOUNTS)}. "
            "Create one: useradd --system postgres."
        )

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that start a process as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether the account can enter the folder, or run the file, at `path`."""
        if self.uid is None:
            return True
        check = ["/usr/bin/test", "-x", str(path)]  # `os.access` would answer for this process's account
        return subprocess.run(check, cwd="/", check=False, **self.options).returncode == 0  # noqa: S603

    def reachable_folder(self, folder: Path) -> Path:
        """Make `folder` and return it, or a folder under `ROOTS_FOLDER` if the account cannot reach `folder`.

        Raises:
            EngineError: If the account can reach neither.
            StorageError: If a folder cannot be made.
        """
        try:
            # 0o711: the other account may pass through, but not list. Each file inside has its own mode.
            make_folder(folder, 0o700 if self.uid is None else 0o711)
            if self.can_reach(folder):
                return folder
            reachable = ROOTS_FOLDER / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
            make_folder(reachable, 0o711)
            if self.can_reach(reachable):
                return reachable
            raise EngineError(
                f"The account that PostgreSQL and Valkey run as can enter neither {folder} nor {reachable}. "
                f"Choose another home, or run chmod o+x on {reachable} and on the folders above it."
            )
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error.strerror}.") from error

    def own(self, folder: Path) -> Path:
        """Make a folder that only the account may enter, and return it.

        Raises:
            StorageError: If the folder cannot be made, belongs to another account, or is open to others.
        """
        uid = os.getuid() if self.uid is None else self.uid
        try:
            make_folder(folder, 0o700)
            if self.uid is not None and folder.lstat().st_uid == os.getuid():
                os.chown(folder, self.uid, self.gid if self.gid is not None else -1)
            found = folder.lstat()
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error.strerror}.") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise StorageError(f"{folder} is not a private folder of the engines' account. Remove it.")
        return folder


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder of exactly this mode, whatever the umask. Leave an existing folder as it is.

    This also makes missing folders above it. Every user who may enter the folder may pass through them.

    Raises:
        OSError: If the folder cannot be made.
    """
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        try:
            missing.mkdir()
        except FileExistsError:
            if not missing.is_dir():
                raise
            continue
        missing.chmod(mode if missing == folder else stat.S_IMODE(missing.stat().st_mode) | mode & 0o111)


def socket_folder(home: Path, engines_folder: Path) -> Path:
    """Choose a short path for sockets. A home gets the same path every time. The folder is not made yet.

    XDG_RUNTIME_DIR does not decide the path. The process that looks for a running engine may have another
    environment than the process that started it, and XDG_RUNTIME_DIR goes when its user logs out.

    Args:
        home: The folder of the installation.
        engines_folder: The folder of the engines' files, from `Account.reachable_folder`.

    Raises:
        StorageError: If no writable folder has a path that is short enough.
    """
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    name = f"vcpbench-{os.getuid()}-{digest}"
    # 20 bytes are for the socket's own name, such as /.s.PGSQL.5432.
    for folder in (engines_folder / "sockets", Path("/run", name), Path("/tmp", name)):  # noqa: S108
        if os.access(folder.parent, os.W_OK) and len(os.fsencode(folder)) < SOCKET_PATH_BYTES - 20:
            return folder
    raise StorageError(f"{engines_folder} is too long for the path of a socket, and /tmp is not writable.")


def spawn(
    command: Sequence[str], *, log: Path, stop_signal: signal.Signals, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that gets its stop signal when the thread that called this function ends.

    Args:
        command: The program and its arguments.
        log: The file that the program's output is added to.
        stop_signal: The program's stop signal.
        options: Further arguments of `subprocess.Popen`.
    """
    with log.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 - our own programs, and binaries of wheels that we depend on
            list(command),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # so that `killpg` also ends the program's children
            preexec_fn=_end_with_parent(stop_signal),
            **options,
        )


def _end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Make a `preexec_fn` for `Popen`: the child gets this signal when the thread that started it ends."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return arrange
