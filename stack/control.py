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
STOP_S = 90.0  # the supervisor itself takes at most 20 s for each step (supervisor.STOP_S)
STEP_S = 360.0  # for one step of a start. The slowest, the API's first answer, may take half (READY_S).
LEFT_OVER_S = 5.0  # the processes of a killed supervisor end by themselves, and hold the port until then
Tell = Callable[[str], None]


def start(home: Home, host: str, port: int, tell: Tell, *, step_s: float = STEP_S) -> tuple[StackState, bool]:
    """Start the installation unless it runs. Return its state once ready, and whether this call started it.

    Args:
        home: The folder of the installation.
        host: The address of the API.
        port: The port of the API. If the installation runs already, it keeps its own port.
        tell: Called with the name of the current step, at every look.
        step_s: The longest time for one step, in seconds.

    Raises:
        StackError: If the port is in use, or the installation does not become ready. The message says why.
        StorageError: If the folder cannot be used.
    """
    home.make()
    own: _Supervisor | None = None
    followed, patience = 0, _Patience(home, step_s)
    while True:
        # Look whether our supervisor ended before `running` reads its state: that state is then the last.
        ended = own is not None and own.ended
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
    """Stop the installation and wait until its supervisor is gone. Return False if none runs.

    Raises:
        StackError: If the supervisor does not end in time, belongs to another user, or has no known
            process number.
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
                raise StackError(f"Process {asked} belongs to another user. Stop it as that user.") from None
        if time.monotonic() > deadline:
            who = f"Process {asked}" if asked else _nobody_known(home)
            raise StackError(f"{who} did not end in {stop_s:.0f} s. Logs: {home.logs}")
        time.sleep(POLL_S)
    return bool(asked)


class _Supervisor:
    """A supervisor that this process started."""

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
                start_new_session=True,  # Ctrl-C in this terminal must not reach the supervisor
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
            raise StackError("The supervisor was stopped while it started.")
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        said = self._log.read_bytes()[self._said_before :].decode(errors="replace").strip().splitlines()
        first = f"The supervisor ended {how} while it started. Log: {self._log}"
        raise StackError("\n".join([first, *said[-5:]]))


class _Patience:
    """Limit how long one step may take."""

    def __init__(self, home: Home, step_s: float) -> None:
        self._home, self._step_s = home, step_s
        self._seen: tuple[int, str, str] | None = None
        self._since = time.monotonic()

    def look(self, running: StackState | None) -> None:
        """Raise `StackError` if the supervisor's state has not changed for too long."""
        now = (running.pid, running.phase, running.step) if running else None
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        elif time.monotonic() - self._since > self._step_s:
            pid, phase, step = now or (0, "starting", "")
            who = f"Process {pid}" if pid else _nobody_known(self._home)
            raise StackError(
                f"{who} has been {phase} ({step or 'no step yet'}) for {self._step_s:.0f} s. The start "
                "may still go on. To see it: vcpbench status. To end it: vcpbench down. "
                f"Logs: {self._home.logs}"
            )


def _nobody_known(home: Home) -> str:
    return f"The process that holds {home.lock} (fuser shows it)"


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
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the API does
            try:
                return probe.bind((host, port))
            except OSError as error:
                if time.monotonic() > deadline:
                    reason = error.strerror or str(error)
                    raise StackError(
                        f"{host}:{port} cannot be used ({reason}). Choose another port: --port."
                    ) from None
        time.sleep(POLL_S)
