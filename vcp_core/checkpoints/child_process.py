"""The child process that opens a foreign file: its start, its limits, its answer and its end."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import (
    CheckpointError,
    Private,
    ReaderFailed,
    UnreadableCheckpoint,
    VcpbenchError,
)
from vcp_core.checkpoints.formats import RE_SAVE
from vcp_core.checkpoints.report import printable
from vcp_core.walls.report import policy

GIB = 1 << 30
MOST_BYTES = 16 << 20  # of the child's answer; a report has some kilobytes
PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # the child needs libraries
ENDED_BY_OTHERS = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)  # a file cannot cause these signals
# The child gets the parent's sys.path, so that it imports the same vcp_core.
START = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path[:] = job.pop('sys_path'); "
    "from vcp_core.checkpoints.child import main; main(job)"
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of the child process.

    Attributes:
        memory_bytes: Address space on top of what Python and torch take.
        file_bytes: Size of any file that the child writes.
        cpu_s: Processor time on top of what starting Python and torch takes, in seconds.
        wall_s: Time by the clock, in seconds.
    """

    memory_bytes: int
    file_bytes: int
    cpu_s: int
    wall_s: int

    @classmethod
    def for_size(cls, size_bytes: int) -> Limits:
        """Choose limits for a file of this size that allow a slow disk and stop a decompression bomb."""
        return cls(
            # A legacy file is held in memory, and a mapped file counts as address space. Half precision
            # doubles when it becomes float32.
            memory_bytes=4 * GIB + 4 * size_bytes,
            file_bytes=GIB + 4 * size_bytes,
            # 49,000 tensors of one number each are the slowest honest file: 18 MB, read in 11 s. It gets
            # 25 s. A network of 130 MB takes 1 s. So a small file gets a few seconds, and a large one more.
            cpu_s=min(
                max(5 + size_bytes // 2_000_000, size_bytes // 700_000), 120 + size_bytes // 20_000_000
            ),
            wall_s=300 + size_bytes // 5_000_000,
        )


def child_environment() -> dict[str, str]:
    """List all environment variables of the child.

    The child has one thread, so that its processor time does not depend on the number of cores.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": "/opt", "PGPASSWORD": "x"}, clear=True):
    ...     list(child_environment())
    ['LANG', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'CUDA_VISIBLE_DEVICES', 'LD_LIBRARY_PATH']
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {"LANG": "C.UTF-8", **threads, "CUDA_VISIBLE_DEVICES": "", **passed_on}


@contextmanager
def start_child(path: Path, job: dict[str, Any], limits: Limits) -> Iterator[Child]:
    """Start a child process. It is killed if it has not ended by the end of the block.

    Args:
        path: The file that errors are about.
        job: The arguments of child.py that differ between jobs.
        limits: Limits of the child process.
    """
    job = {
        **job,
        "limits": vars(limits),
        "sys_path": [os.path.abspath(entry) for entry in sys.path],
        "policy": policy(),
        "parent": os.getpid(),
    }
    # The child waits on one end of this pipe. The system closes the other end when this process ends, even if
    # it is killed, and the child ends, too.
    lifeline, held = os.pipe()
    try:
        with (
            subprocess.Popen(  # noqa: S603 - our own interpreter and code; the file is an argument to it
                # -I: no PYTHON* variables, and nothing of the user's site folder. `START` sets sys.path.
                [sys.executable, "-I", "-B", "-W", "ignore", "-c", START, json.dumps(job)],
                stdin=lifeline,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,  # a process group of its own, which `killpg` ends as a whole
            ) as process,
            selectors.DefaultSelector() as pipes,
        ):
            try:
                yield Child(path, process, pipes, limits)
            finally:
                if process.poll() is None or pipes.get_map():  # a process of its own may hold a pipe
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()  # what still ends may write into a folder that is being removed
    finally:
        os.close(lifeline)
        os.close(held)


class Child:
    """A child process that reads a foreign file.

    Attributes:
        path: The file that errors are about.
    """

    def __init__(
        self, path: Path, process: subprocess.Popen[bytes], pipes: selectors.BaseSelector, limits: Limits
    ) -> None:
        self.path = path
        self._process, self._pipes, self._limits = process, pipes, limits
        self._deadline = time.monotonic() + limits.wall_s
        self._outcome: dict[str, Any] | VcpbenchError | None = None
        assert process.stdout is not None
        assert process.stderr is not None
        self._out, self._err = bytearray(), bytearray()
        pipes.register(process.stdout, selectors.EVENT_READ, self._out)
        pipes.register(process.stderr, selectors.EVENT_READ, self._err)

    def has_ended(self) -> bool:
        """Read what the child has written, and say whether `answer` would return or raise at once.

        That is so, too, if the child still runs and its time is over.
        """
        if self._outcome is None:
            try:
                if not self._said_all():
                    return False
                self._outcome = self._parsed()
            except VcpbenchError as error:
                self._outcome = error
        return True

    def answer(self) -> dict[str, Any]:
        """Wait until the process ends, and return its answer.

        Raises:
            CheckpointError, ReaderFailed: As `ingest`, if the child gives no answer.
        """
        while not self.has_ended():
            left_s = max(0.0, self._deadline - time.monotonic())
            if self._pipes.get_map():
                self._pipes.select(left_s)
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(left_s)
        assert self._outcome is not None
        if isinstance(self._outcome, VcpbenchError):
            raise self._outcome
        return self._outcome

    def _said_all(self) -> bool:
        """Read what the pipes hold. Return whether both pipes and the process have ended.

        Raises:
            ReaderFailed: If the child writes more than `MOST_BYTES`, or its time is over.
        """
        while self._pipes.get_map() and (ready := self._pipes.select(0)):
            for key, _ in ready:
                read = os.read(key.fd, 1 << 16)
                key.data.extend(read)
                if not read:
                    self._pipes.unregister(key.fileobj)
                if len(key.data) > MOST_BYTES:  # code that took the child over could fill our memory
                    said = f"its reader said more than {MOST_BYTES:,} bytes, which no report has"
                    raise ReaderFailed(f"{said}, and was stopped.", path=self.path)
        if self._process.poll() is not None and not self._pipes.get_map():
            return True
        if time.monotonic() >= self._deadline:
            raise ReaderFailed(
                f"reading it took longer than {self._limits.wall_s} s and was stopped.", path=self.path
            )
        return False

    def _parsed(self) -> dict[str, Any]:
        if self._process.returncode:
            complaints = self._err.decode("utf-8", "replace")
            raise _crash(self.path, self._process.returncode, complaints, self._limits)
        try:
            found = json.loads(self._out)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not found:
            raise ReaderFailed("its reader's answer is no report.", path=self.path)
        return found


def _crash(path: Path, returncode: int, complaints: str, limits: Limits) -> VcpbenchError:
    last = " | ".join(printable(line.strip()) for line in complaints.strip().splitlines()[-3:])
    said = (" Its last words: ", Private(last)) if last else ()
    if returncode == -signal.SIGXCPU:
        return CheckpointError(
            f"reading it took more than {limits.cpu_s} s of processor time and was stopped. A checkpoint of "
            f"its size takes less. {RE_SAVE}",
            path=path,
        )
    if returncode == -signal.SIGKILL:
        return ReaderFailed(
            "the process that read it was killed. Most likely memory ran out.", *said, path=path
        )
    if returncode in ENDED_BY_OTHERS:
        name = signal.Signals(-returncode).name
        return ReaderFailed(f"the process that read it was told to end ({name}). Try again.", path=path)
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return UnreadableCheckpoint(
            f"the process that read it crashed ({name}). If the file loads in your own environment, save its "
            "state_dict there and use that file.",
            *said,
            path=path,
        )
    return ReaderFailed(
        "the process that read it failed, which is a fault of vcpbench. Please report it.", *said, path=path
    )
