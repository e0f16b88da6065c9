"""Starting and stopping an installation from outside its supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stack.home import Home, StackError, StackState

STOP_S = 90.0
Tell = Callable[[str], None]


def start(home: Home, host: str, port: int, tell: Tell) -> tuple[StackState, bool]:
    """Have the installation run; its state once it is ready, and whether it was started now.

    Args:
        home: Its folder.
        host: The API's address.
        port: The API's port; not looked at if it runs already.
        tell: Told each step.

    Raises:
        StackError: If the port is in use, or it does not become ready; with the reason.
        StorageError: If the folder cannot be used.
    """
    home.make()
    running = home.running()
    if running is not None and running.phase != "stopping":
        return _ready(home, None, tell), False
    if running is not None:
        _wait_until_gone(home, running.pid)
    _check_port(host, port)
    return _ready(home, _detach(home, host, port), tell), True


def stop(home: Home) -> bool:
    """Stop the installation and wait until it is gone; False if it does not run.

    Raises:
        StackError: If it does not end in time.
    """
    state = home.running()
    if state is None:
        return False
    if not state.pid:
        raise StackError(f"{home.folder} is held by a process that is just starting. Try again.")
    os.kill(state.pid, signal.SIGTERM)
    _wait_until_gone(home, state.pid)
    return True


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise StackError(f"{host}:{port} cannot be used ({reason}). Choose another: --port.") from None


def _detach(home: Home, host: str, port: int) -> subprocess.Popen[bytes]:
    with (home.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [
                *(sys.executable, "-m", "stack.installation", str(home.folder)),
                *("--host", host, "--port", str(port)),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _ready(home: Home, supervisor: subprocess.Popen[bytes] | None, tell: Tell) -> StackState:
    """The state once it is ready; of the given supervisor, or of whichever runs."""
    while True:
        ended = supervisor is not None and supervisor.poll() is not None
        state = home.state()
        if state is not None and (supervisor is None or state.pid == supervisor.pid):
            if state.phase == "failed":
                raise StackError(f"{state.reason}\nLogs: {home.logs}")
            if state.phase == "ready":
                return state
            tell(state.step)
        if ended:
            log = (home.logs / "supervisor.log").read_text(errors="replace").strip().splitlines()
            raise StackError("\n".join(["It ended at once:", *log[-5:]]))
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever started the supervisor may not have noticed yet that it ended: that is a zombie.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc/self").exists()


def _wait_until_gone(home: Home, pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    while home.running() is not None or _lives(pid):
        if time.monotonic() > deadline:
            raise StackError(f"It did not end in {STOP_S:.0f} s. Logs: {home.logs}")
        time.sleep(0.1)
