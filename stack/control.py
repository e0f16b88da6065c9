"""Starting and stopping an installation from outside its supervisor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from stack.home import IN_USE, SUPERVISOR, Home, StackError, StackState

POLL_S = 0.1
STOP_S = 90.0
STEP_S = 360.0  # of a start; the slowest step, the API's first answer, may take half of it (READY_S)
LEFT_OVER_S = 5.0  # what a killed supervisor leaves ends by itself, and holds the port so long
Tell = Callable[[str], None]


def start(home: Home, host: str, port: int, tell: Tell, *, step_s: float = STEP_S) -> tuple[StackState, bool]:
    """Have the installation run; its state once it is ready, and whether it was started now.

    Args:
        home: Its folder.
        host: The API's address.
        port: The API's port; not looked at if it runs already.
        tell: Told each step.
        step_s: Longest time for one step.

    Raises:
        StackError: If the port is in use, or it does not become ready; with the reason.
        StorageError: If the folder cannot be used.
    """
    home.make()
    own: _Supervisor | None = None
    followed, patience = 0, _Patience(home, step_s)
    while True:
        ended = own is not None and own.ended  # asked before `running`, so its last state is written by then
        running = home.running()
        if running is not None and running.phase == "ready":
            return running, own is not None and own.pid == running.pid
        if ended and own is not None:
            own.raise_unless_another_was_quicker()
            own = None
        if running is None and own is None:  # no supervisor runs, or the last one ended before it was ready
            _raise_if_failed(home, followed)
            _check_port(home, host, port)
            own = _Supervisor(home, host, port)
        if running is not None:
            followed = running.pid
            tell(running.step)
        patience.look(running)
        time.sleep(POLL_S)


def stop(home: Home, *, stop_s: float = STOP_S) -> bool:
    """Stop the installation and wait until it is gone; False if it does not run.

    Raises:
        StackError: If it does not end in time, is another user's, or does not say which process it is.
    """
    deadline, asked = time.monotonic() + stop_s, 0
    while (running := home.running()) is not None:
        if asked and running.pid not in (0, asked):
            return True  # the stopped supervisor is gone; another process started a new one
        if running.pid and not asked:
            asked = running.pid
            try:
                os.kill(asked, signal.SIGTERM)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise StackError(f"Process {asked} is another user's: stop it as that user.") from None
        if time.monotonic() > deadline:
            who = f"Process {asked}" if asked else _nobody_known(home)
            raise StackError(f"{who} did not end in {stop_s:.0f} s. Logs: {home.logs}")
        time.sleep(POLL_S)
    return bool(asked)


class _Supervisor:
    """One that was started here."""

    def __init__(self, home: Home, host: str, port: int) -> None:
        self._home, self._log = home, home.logs / "supervisor.log"
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [
                    *(sys.executable, "-m", SUPERVISOR, str(home.folder)),
                    *("--host", host, "--port", str(port)),
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def raise_unless_another_was_quicker(self) -> None:
        code = self._process.wait()
        if code == IN_USE:
            return
        _raise_if_failed(self._home, self.pid)
        if code == 0:
            raise StackError("It was stopped while it started.")
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        said = self._log.read_bytes()[self._said_before :].decode(errors="replace").strip().splitlines()
        raise StackError("\n".join([f"It ended {how} while it started. Log: {self._log}", *said[-5:]]))


class _Patience:
    """How long one step may take."""

    def __init__(self, home: Home, step_s: float) -> None:
        self._home, self._step_s = home, step_s
        self._seen: tuple[int, str, str] | None = None
        self._since = time.monotonic()

    def look(self, running: StackState | None) -> None:
        """Raise if nothing has changed for too long."""
        now = (running.pid, running.phase, running.step) if running else None
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        elif time.monotonic() - self._since > self._step_s:
            pid, phase, step = now or (0, "starting", "")
            who = f"Process {pid}" if pid else _nobody_known(self._home)
            raise StackError(
                f"{who} has been {phase} ({step or 'no step yet'}) for {self._step_s:.0f} s. It may still "
                f"go on: vcpbench status shows it, vcpbench down ends it. Logs: {self._home.logs}"
            )


def _nobody_known(home: Home) -> str:
    return f"Whatever holds {home.lock} (fuser shows it)"


def _raise_if_failed(home: Home, pid: int) -> None:
    state = home.state()
    if state is not None and state.pid == pid and state.phase == "failed":
        raise StackError(f"{state.reason}\nLogs: {home.logs}")


def _check_port(home: Home, host: str, port: int) -> None:
    last = home.state()
    was_killed = last is not None and any(program.pid is not None for program in last.programs)
    deadline = time.monotonic() + (LEFT_OVER_S if was_killed else 0)
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                return probe.bind((host, port))
            except OSError as error:
                if time.monotonic() > deadline:
                    reason = error.strerror or str(error)
                    raise StackError(
                        f"{host}:{port} cannot be used ({reason}). Choose another: --port."
                    ) from None
        time.sleep(POLL_S)
