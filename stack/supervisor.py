"""Start an installation's processes in order, restart those that end, and stop all in reverse order.

If the supervisor itself dies, the kernel sends every process its stop signal. So no process stays behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from stack.accounts import spawn
from stack.home import Home, Phase, ProgramState, StackError, StackState
from vcp_core.catalog.errors import StorageError

POLL_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
SETTLED_S = 60.0  # a process that ran longer than this is restarted without a pause
STOP_S = 20.0
READY_S = 180.0  # for a busy machine; a program that ends during the start is noticed at once
MAX_LOG_BYTES = 10_000_000
# Without a proxy: http_proxy may be set, and no proxy leads to this machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
EARLY_DEATHS = 3  # restarts of one process before the API answers; the start then fails


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that the supervisor runs.

    Attributes:
        name: The name that `vcpbench status` shows, and the name of the log.
        command: The command line.
        environment: Variables in addition to the supervisor's own. A variable that is None is taken away.
        stop_signal: The signal that ends the program cleanly.
        options: More arguments of `subprocess.Popen`, such as an account.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str | None]
    stop_signal: signal.Signals = signal.SIGTERM
    options: Mapping[str, object] | None = None


class Supervised:
    """A program and its process."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program, self.log = program, log
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.started_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._not_before = 0.0

    def start(self) -> None:
        """Start the process."""
        program = self.program
        environment = {**os.environ, **program.environment}
        self.process = spawn(
            program.command,
            log=self.log,
            stop_signal=program.stop_signal,
            env={name: value for name, value in environment.items() if value is not None},
            **(program.options or {}),
        )
        self.started_at = time.time()

    def look(self) -> bool:
        """Restart the process if it has ended, after a growing pause. Return True if anything changed."""
        if self.process is not None and self.process.poll() is None:
            return False
        now = time.time()
        if self.process is not None:
            settled = now - self.started_at > SETTLED_S
            self._pause_s = FIRST_PAUSE_S if settled else min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._not_before = now + (0 if settled else self._pause_s)
            say(f"{self.program.name} ended with {self.process.returncode}")
            self.process = None
            return True
        if now < self._not_before:
            return False
        self.restarts += 1
        try:
            self.start()
        except OSError as error:  # for example, no memory is free at this moment; a later try may succeed
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._not_before = now + self._pause_s
            say(f"{self.program.name} cannot be started: {error}")
        return True

    def ask_to_end(self) -> None:
        """Send the process its stop signal."""
        if self.process is not None:
            self.process.send_signal(self.program.stop_signal)

    def wait_until_ended(self, deadline: float) -> None:
        """Wait until the process has ended. Kill its group at `deadline`, a time of `time.monotonic`."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{self.program.name} did not end in {STOP_S:.0f} s; killed")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def tail(self) -> str:
        """The last ten lines of the log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return "\n".join(lines[-10:])

    def rotate(self) -> None:
        """Move a log over `MAX_LOG_BYTES` to `NAME.log.1`, which replaces the one before."""
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            older = self.log.with_name(self.log.name + ".1")
            try:
                shutil.copyfile(self.log, older)
            except OSError:  # The disk is full. Lose the older lines, so that new ones have room.
                older.unlink(missing_ok=True)
            # Truncate, not rename: the process keeps the file open and appends; its next line begins at 0.
            os.truncate(self.log, 0)

    @property
    def state(self) -> ProgramState:
        """The state for `vcpbench status`."""
        pid = self.process.pid if self.process is not None else None
        return ProgramState(self.program.name, pid, self.started_at, self.restarts, str(self.log))


class Supervisor:
    """Runs the programs of one installation.

    Args:
        home: The folder of the installation.
        url: The address of the API. The installation is ready once `/v1/health` there answers.
        data: The folder of PostgreSQL's data, for `vcpbench status`.
    """

    def __init__(self, home: Home, url: str, *, data: str = "") -> None:
        self._home, self._url, self._data = home, url, data
        self._steps: list[list[Supervised]] = []
        self._stopping = False
        self._phase: Phase = "starting"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def run(self, steps: Sequence[tuple[str, Callable[[], Sequence[Program]]]]) -> None:
        """Start all programs, keep them running until a signal comes, then stop them in reverse order.

        Args:
            steps: For each step, its name and a function that prepares the step and returns its programs.
                The next step begins once these programs were started.

        Raises:
            StackError: If the API does not become ready.
        """
        try:
            for step, prepare in steps:
                self._say(step)
                self._steps.append([])
                for program in prepare():
                    self._steps[-1].append(Supervised(program, self._home.logs / f"{program.name}.log"))
                    self._steps[-1][-1].start()
                    self._say(step)
                if self._stopping:
                    return
            self._wait_until_ready()
            self._watch()
        finally:
            self._phase = "stopping" if self._stopping else self._phase
            self._say("stopping")
            for together in reversed(self._steps):
                for running in together:
                    running.ask_to_end()
                deadline = time.monotonic() + STOP_S
                for running in together:
                    running.wait_until_ended(deadline)
                    self._say("stopping")

    @property
    def _running(self) -> list[Supervised]:
        return [running for together in self._steps for running in together]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while not self._stopping and not _answers(f"{self._url}/v1/health"):
            for program in self._running:
                program.look()
                if program.restarts >= EARLY_DEATHS:
                    raise StackError(f"{program.program.name} does not start:\n{program.tail()}")
            if time.monotonic() > deadline:
                tails = "\n".join(program.tail() for program in self._running if program.restarts)
                raise StackError(f"{self._url} does not answer after {READY_S:.0f} s.\n{tails}")
            time.sleep(POLL_S)
        self._phase = "ready"
        self._say("")

    def _watch(self) -> None:
        while not self._stopping:
            if any([program.look() for program in self._running]):
                self._say("")
            for program in self._running:
                program.rotate()
            time.sleep(POLL_S)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _say(self, step: str) -> None:
        state = StackState(
            pid=os.getpid(),
            url=self._url,
            phase=self._phase,
            step=step,
            data=self._data,
            programs=tuple(program.state for program in self._running),
        )
        try:
            self._home.write(state)
        except StorageError as error:  # a full disk must stop no program that runs, nor break an orderly stop
            say(str(error))


def say(words: str) -> None:
    """Write a line to the supervisor's own log. If the disk is full, the line is lost."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}\n")
        sys.stderr.flush()


def _answers(url: str) -> bool:
    try:
        with DIRECTLY.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
