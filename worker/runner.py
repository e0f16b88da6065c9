"""The child processes that do the heavy part of a job; the worker stays free to renew, listen and kill.

The child reads requests and writes answers as lines of JSON (worker/child.py). It holds no secrets: it
reaches no database, no broker and no store, and only reads and writes files. It ends when this process ends,
even if this process is killed.

A child that decodes foreign videos, or runs a foreign program (a graph), stands behind walls
(vcp_core/walls). It can read the dataset and the files that it was given, and write into a folder of its own.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from records import tracing
from vcp_core.catalog.errors import GraphError, VcpbenchError
from vcp_core.walls import NotHandedOver, take_over
from worker import memory

OnProgress = Callable[[int, int], None]
# The child gets only these variables of our environment: paths, numbers of threads, choices of kernels.
# With another kernel of OpenBLAS (OPENBLAS_CORETYPE) the last digits would differ from `vcpbench local`.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VCPBENCH_CACHE",
    "VCPBENCH_DATA",
    "VCPBENCH_PROBE_MEMORY_MB",
    "VCPBENCH_WALLS",
)
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "XDG_", "TORCH_")
# Threads of OpenBLAS that wait for one another keep their cores busy, and another worker's threads wait for
# these cores (docs/decisions/2026-11-29-threads.md).
DEFAULTS = {"OPENBLAS_NUM_THREADS": "1"}
COMMAND: tuple[str, ...] = (sys.executable, "-m", "worker.child")
TAIL_CHARACTERS = 4000
TICK_S = 1.0
ANSWERS = {"progress", "error", "unforeseen", "result"}
MOST_BYTES = 16 << 20  # of a line; large results are files
MOST_IDLE_BYTES = 1 << 30  # of memory, which a child may keep while the other child works


class ChildFailed(VcpbenchError):
    """The child died, hung, or met an error that no user caused.

    Attributes:
        log_tail: The last lines that the child printed. Only operators read them: they may hold paths.
    """

    log_tail = ""

    def __init__(self, what: str, log_tail: str) -> None:
        super().__init__(what)
        self.log_tail = log_tail


def unforeseen(kind: str) -> str:
    """Describe an unexpected exception of this class without its text, which may hold secrets.

    >>> unforeseen("KeyError")
    'an unforeseen error of vcpbench (KeyError); operators see the end of its log'
    """
    return f"an unforeseen error of vcpbench ({kind}); operators see the end of its log"


@dataclass(frozen=True)
class Out:
    """A file that a request has the child write. It appears at `path` if the request succeeds."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Foreign videos that a child decodes, or a foreign program that it runs: such a child has walls.

    Attributes:
        dataset: Arguments of `vcp_core.catalog.reach.files_of`, or the name of a built-in dataset under
            `name_or_path`; empty if no video is read.
        program: Which foreign program the child runs; None for none. It then runs no other network.
        closed: Folders that no link in the dataset opens.
        device: The device on which the child forwards clips.
    """

    dataset: Mapping[str, str]
    program: str | None = None
    closed: tuple[str, ...] = ()
    device: str


class Refused(Exception):
    """The child refused its input. It can serve the next request."""

    def __init__(self, error: VcpbenchError) -> None:
        super().__init__(str(error))
        self.error = error


class Runner:
    """At most two child processes: one behind walls, for foreign videos, and one for all other requests.

    A start takes seconds, and jobs of the two kinds take turns. So each child is kept for the next request of
    its kind: one behind walls for the same videos, the other for any. A child that failed in any way is not
    used again.

    Args:
        scratch: Folder for the child's log, and for the files that it is given and that it writes.
        walled: Whether walls stand around a child that decodes foreign videos.
        memory_bytes: The memory that a child may take; `memory.usual_limit` if left out.
    """

    def __init__(self, scratch: Path, *, walled: bool = True, memory_bytes: int | None = None) -> None:
        self._scratch, self._walled = scratch, walled
        self._memory_bytes = memory_bytes or memory.usual_limit()
        self._children: dict[bool, _Child] = {}  # by whether walls stand around it
        self._calling: _Child | None = None
        self._guard = threading.Lock()
        self._stopped = False

    def call(
        self,
        request: dict[str, Any],
        *,
        stall_s: float,
        on_progress: OnProgress,
        check: Callable[[], None] = lambda: None,
        foreign: Foreign | None = None,
    ) -> dict[str, Any]:
        """Send the child a request, and wait for its answer.

        Args:
            request: `{"do": function of worker/child.py, ...its arguments}`. A `Path` anywhere in them is a
                file that the child reads. An `Out` is a file that it writes.
            stall_s: Longest time without a sign of progress.
            on_progress: Called with (done, total).
            check: Called as soon as `kill` would kill the child. An error that it raises is raised here.
            foreign: The foreign videos that the request decodes. A child behind walls does no other request.

        Raises:
            ChildFailed: If the child gave no answer, or not the file that it was to write.
            VcpbenchError: If the child refused its input; the error is the child's own.
        """
        with self._guard:
            if self._stopped:
                raise ChildFailed("the worker is shutting down", "")
            child = self._calling = self._child_for(foreign)
        try:
            check()
            with tracing.span("child", do=request["do"]):
                return child.call(request, stall_s, on_progress)
        except Refused as error:
            if isinstance(error.error, GraphError) and child.program is not None:
                with self._guard:  # a kernel of the graph that failed may have ended CUDA in this child
                    self._close(child)
            raise error.error from None
        except BaseException:
            with self._guard:
                self._close(child)
            raise
        finally:
            with self._guard:
                self._calling = None

    def _child_for(self, foreign: Foreign | None) -> _Child:
        walls = foreign if self._walled else None
        program = None if foreign is None else foreign.program
        child, other = self._children.get(walls is not None), self._children.get(walls is None)
        if other is not None and other.resident_bytes > MOST_IDLE_BYTES:
            self._close(other)
        if child is not None and (child.walls, child.program) == (walls, program) and child.alive:
            return child
        if child is not None:
            self._close(child)
        child = _Child(self._scratch, walls, program, self._memory_bytes)
        self._children[child.walled] = child
        return child

    def stop(self) -> None:
        """Kill the children for good. Every later `call` fails."""
        with self._guard:
            self._stopped = True
            for child in self._children.values():
                child.kill()

    def kill(self) -> None:
        """End the call in work, which then raises ChildFailed. Any thread may do so.

        A child that waits for its next call is left alone. A heartbeat may find its job ended just after the
        job's own worker ended it; the next job would then find its child killed, and count that as a crash.
        """
        with self._guard:
            if self._calling is not None:
                self._calling.kill()

    def close(self) -> None:
        """End the children."""
        with self._guard:
            for child in list(self._children.values()):
                self._close(child)

    def _close(self, child: _Child) -> None:
        self._children.pop(child.walled, None)
        child.close()


class _Child:
    """A child process.

    Attributes:
        walls: What is foreign to it, for which walls stand around it; None without walls.
        program: The only foreign program that it runs, with walls or without; None if it runs none.
    """

    def __init__(self, scratch: Path, walls: Foreign | None, program: str | None, memory_bytes: int) -> None:
        self.walls, self.program = walls, program
        self._memory_bytes = memory_bytes
        self._log_begins = 0
        self._log: IO[bytes] = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - lives as long as the child
        self._folder = tempfile.TemporaryDirectory(dir=scratch, prefix="child-", ignore_cleanup_errors=True)
        self._given, self._written = (Path(self._folder.name, name) for name in ("given", "written"))
        self._given.mkdir()
        self._written.mkdir()
        self._named: set[Path] = set()  # files in `_given` that the last request named
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**DEFAULTS, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        asked = None
        if walls is not None:
            folders = {"given": str(self._given), "written": str(self._written)}
            reach = {"dataset": walls.dataset, "closed": walls.closed, "device": walls.device}
            asked = {**reach, **folders, "parent": os.getpid()}
        with suppress(BrokenPipeError):  # it ended already; the first call says so
            self._send(asked)

    def _send(self, value: object) -> None:
        assert self._process.stdin is not None
        self._named.clear()
        line = json.dumps(value, default=self._handed).encode() + b"\n"
        for old in set(self._given.iterdir()) - self._named:
            old.unlink()
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _handed(self, file: object) -> str:
        """Where the child finds a file that it reads, or writes one."""
        if isinstance(file, Out):
            return str(self._written / file.path.name)
        if not isinstance(file, Path):
            raise TypeError(f"{file!r} is nothing that a request may hold")
        return self._give(file) if self.walled else str(file)

    def _give(self, path: Path) -> str:
        """Link or copy a file into the only folder of ours that a child behind walls can read."""
        found = path.stat()
        given = self._given / f"{found.st_ino}-{found.st_mtime_ns}-{path.name}"
        self._named.add(given)
        if not given.exists():
            try:
                given.hardlink_to(path)
            except OSError:  # another disk, or a file system without links
                part = given.with_suffix(".part")
                shutil.copyfile(path, part)
                part.replace(given)  # whole or not at all: a full disk would leave a part
        return str(given)

    @property
    def walled(self) -> bool:
        return self.walls is not None

    @property
    def resident_bytes(self) -> int:
        return memory.resident_bytes(self._process.pid)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        if self.alive:
            with suppress(ProcessLookupError):  # the child ended, and was reaped, after the check
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()  # a killed process still counts as alive for a moment

    def close(self) -> None:
        self.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def call(self, request: dict[str, Any], stall_s: float, on_progress: OnProgress) -> dict[str, Any]:
        self._log_begins = os.fstat(self._log.fileno()).st_size  # what came before is another job's
        begun_ns = time.time_ns()
        try:
            self._send(request)
        except BrokenPipeError:
            raise self._failed() from None
        for answer in self._answers(stall_s):
            if not isinstance(answer, dict) or not set(answer) & ANSWERS:
                raise ChildFailed("its answer is none of ours", self._tail())
            if "progress" in answer:
                done, total = map(int, answer["progress"])
                on_progress(done, total)
                continue
            _trace(request["do"], answer.get("took_ns"), begun_ns)
            if "error" in answer:
                raise Refused(VcpbenchError.from_dict(answer["error"]))
            if "unforeseen" in answer:
                raise ChildFailed(unforeseen(answer["unforeseen"]), self._tail())
            self._take_over([value for value in request.values() if isinstance(value, Out)])
            return dict(answer["result"])
        raise self._failed()

    def _take_over(self, outs: Sequence[Out]) -> None:
        try:
            for out in outs:
                take_over(self._written / out.path.name, out.path)
        except NotHandedOver as error:
            raise ChildFailed(f"the process {error}", self._tail()) from error

    def _answers(self, stall_s: float) -> Any:
        """Yield the child's lines as they arrive, until the child ends."""
        assert self._process.stdout is not None
        fd, rest, heard = self._process.stdout.fileno(), bytearray(), time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while True:
                self._check_memory()
                if selector.select(TICK_S):
                    read = os.read(fd, 1 << 16)
                    if not read:
                        return
                    heard = time.monotonic()
                    rest += read
                    if b"\n" in read:
                        *lines, last = rest.split(b"\n")
                        rest = bytearray(last)
                        yield from map(_parsed, lines)
                    if len(rest) > MOST_BYTES:
                        self.kill()
                        raise ChildFailed(f"an answer exceeded {MOST_BYTES:,} bytes; stopped", self._tail())
                elif time.monotonic() - heard > stall_s:
                    self.kill()
                    raise ChildFailed(f"no sign of progress for {stall_s:.0f} s; stopped", self._tail())

    def _check_memory(self) -> None:
        """End a child that takes too much, before the kernel ends something else for it."""
        if self.resident_bytes > self._memory_bytes:
            self.kill()
            most = f"{self._memory_bytes >> 20:,} MiB"
            what = f"the process took more than {most} of memory, which is the limit; stopped"
            raise ChildFailed(f"{what}. An operator can raise VCPBENCH_CHILD_MEMORY_MIB", self._tail())

    def _failed(self) -> ChildFailed:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            what = "the process was killed; most likely memory ran out"
        elif code < 0:
            what = f"the process crashed ({signal.Signals(-code).name})"
        else:
            what = f"the process ended with code {code}"
        return ChildFailed(what, self._tail())

    def _tail(self) -> str:
        self.kill()  # it could add to its log for ever
        end = os.fstat(self._log.fileno()).st_size
        read = os.pread(self._log.fileno(), TAIL_CHARACTERS, max(self._log_begins, end - TAIL_CHARACTERS))
        return read.decode("utf-8", "replace").strip()


def _trace(do: str, took_ns: object, begun_ns: int) -> None:
    """Trace the time that the child says it took. It may be lying, so the time must lie within the call."""
    match took_ns:
        case [int(begun), int(ended)] if begun_ns <= begun <= ended <= time.time_ns():
            tracing.past(f"in child: {do}", begun, ended)


def _parsed(line: bytearray) -> object:
    """Read a line of the child's; None if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
