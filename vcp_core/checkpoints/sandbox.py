"""Open a foreign file in a child process behind walls, with limits and without secrets. No other opens it.

The child builds walls around itself before it reads the file (vcp_core/walls). It gets a few harmless
environment variables and no terminal. Its memory, processor time, file size and number of open files are
limited. It ends when its parent ends. The child reads tensors only, finds the backbone, writes the canonical
file into a folder of its own, and answers with a report or an error. Its other output is shown only if it
crashes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcp_core import walls
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import (
    CheckpointError,
    CheckpointMismatch,
    NotACheckpoint,
    Private,
    ReaderFailed,
    StorageError,
    UnreadableCheckpoint,
    VcpbenchError,
)
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.readings import check_variant
from vcp_core.checkpoints.folders import about_folder
from vcp_core.checkpoints.formats import RE_SAVE
from vcp_core.checkpoints.report import CheckpointReport, printable
from vcp_core.checkpoints.trainers import training_of
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


def ingest(
    path: str | Path,
    canonical_path: Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    limits: Limits | None = None,
) -> CheckpointReport:
    """Read a foreign checkpoint in the sandbox, and write the canonical file of its backbone.

    Args:
        path: The foreign file. This process never opens it.
        canonical_path: The canonical file, written whole or not at all.
        backbone: Name of the architecture. If left out, it is recognised.
        prefix: Which of several networks in the file to use ("teacher."). If left out, the one that gradients
            trained.
        variant: The form of the network, if no tensor shows it (`vcp_core.catalog.variants`).
        input_spec: The declared input of the network (`vcp_core.catalog.inputs`). It changes only what the
            report says, and a .pt2 file that declares none is refused without it.
        limits: Limits of the child process. If left out, they follow from the file's size.

    Raises:
        UnknownName: If there is no such backbone, or the backbone has no such variant.
        InputError: If the declared input is not valid, or does not fit the backbone.
        CheckpointError: If the file is not a whole, safe, finite checkpoint of a known backbone. The subclass
            says which of these fails.
        ReaderFailed: If the child process was killed, took too long or broke. The file may be good.
        StorageError: If the canonical file cannot be written.
        WallsMissing: If `VCPBENCH_WALLS` is "required", and this machine lacks a wall.
    """
    with reading(
        path,
        canonical_path,
        backbone=backbone,
        prefix=prefix,
        variant=variant,
        input_spec=input_spec,
        limits=limits,
    ) as begun:
        return begun.report()


@contextmanager
def reading(
    path: str | Path,
    canonical_path: Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Reading]:
    """Begin what `ingest` does, with the same arguments, and do other work meanwhile.

    If the block ends before the child does, the child is killed, and no canonical file is written.

    Raises:
        VcpbenchError: As `ingest`, if the problem can be seen without opening the file.
    """
    precheck(path, backbone=backbone, variant=variant, input_spec=input_spec)  # before a process is started
    path = Path(path)
    limits = limits or Limits.for_size(path.stat().st_size)
    walls.check()  # refuse here, before a process is started
    with _folder_beside(canonical_path) as folder:
        job = {
            "path": str(path.absolute()),
            "canonical_path": str(canonical_path.absolute()),
            "folder": str(folder),
            "backbone": backbone,
            "prefix": prefix,
        }
        with started(path, job, limits) as child:
            yield Reading(child, folder / canonical_path.name, canonical_path, variant, input_spec)


class Reading:
    """A foreign file that a child process reads (see `reading`)."""

    def __init__(
        self, child: Child, written: Path, canonical_path: Path, variant: str | None, input_spec: str | None
    ) -> None:
        self._child, self._written, self._canonical_path = child, written, canonical_path
        self._variant, self._input_spec = variant, input_spec
        self._report: CheckpointReport | None = None

    def look(self) -> None:
        """Raise what `report` raises, if the child has ended already. It does not wait."""
        if self._child.ended:
            self.report()

    def report(self) -> CheckpointReport:
        """Wait until the child ends, put the canonical file in its place, and report.

        Raises:
            VcpbenchError: As `ingest`.
        """
        if self._report is None:
            self._report = self._taken_over()
        return self._report

    def _taken_over(self) -> CheckpointReport:
        path = self._child.path
        answer = self._child.answer()
        if "error" in answer:
            raise _named(path, VcpbenchError.from_dict(answer["error"]))
        report = _with_counts_in_name(CheckpointReport.from_json(answer["report"]), path.name)
        report = report.read_as(variant=self._variant, input_spec=self._input_spec)
        try:
            walls.take_over(self._written, self._canonical_path)
        except walls.NotHandedOver as error:
            raise ReaderFailed(f"its reader {error}.", path=path) from error
        return report


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


def precheck(
    path: str | Path,
    *,
    backbone: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> None:
    """Find problems without opening the file. This is quick, so call it before other long work.

    Args:
        path: As for `ingest`.
        backbone: As for `ingest`.
        variant: As for `ingest`. If the backbone is left out, it is enough that some backbone has it.
        input_spec: The declared input of the network (`vcp_core.catalog.inputs`).

    Raises:
        UnknownName: If there is no such backbone or variant.
        InputError: If the declared input is not valid.
        NotACheckpoint: If there is no such file, or it cannot be read.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    ...     try:
    ...         precheck(file.name)
    ...     except NotACheckpoint as error:
    ...         print(error.text().partition(": ")[2])
    the file is empty. Was it saved, or copied, to its end?
    """
    if backbone is not None:
        BACKBONES[backbone]
    if variant is not None:
        check_variant(variant, backbone=backbone)
    if input_spec is not None:
        InputSpec.parse(input_spec)
    path = Path(path)
    if path.is_dir():
        raise NotACheckpoint(about_folder(path), path=path)
    if not path.exists():
        raise NotACheckpoint("no such file.", path=path)
    if not path.is_file():
        raise NotACheckpoint("not a regular file.", path=path)
    if not os.access(path, os.R_OK):
        raise NotACheckpoint("no permission to read it.", path=path)
    if path.stat().st_size == 0:
        raise NotACheckpoint("the file is empty. Was it saved, or copied, to its end?", path=path)


@contextmanager
def _folder_beside(canonical_path: Path) -> Iterator[Path]:
    """Make a folder for the child alone, on the disk of the canonical file. It is removed at the end."""
    try:
        canonical_path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(
            dir=canonical_path.absolute().parent, prefix=".reading-", ignore_cleanup_errors=True
        )
    except OSError as error:
        said = error.strerror or Private(str(error))
        raise StorageError(canonical_path, " cannot be written: ", said, ".") from error
    with folder:
        yield Path(folder.name)


@contextmanager
def started(path: Path, job: dict[str, Any], limits: Limits) -> Iterator[Child]:
    """Start a child process. It is killed if it has not ended by the end of the block.

    Args:
        path: The file that errors are about.
        job: The arguments of child.py but those that are the same for each job.
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
        with subprocess.Popen(  # noqa: S603 - our own interpreter and code; the file is an argument to it
            # -I: no PYTHON* variables, and nothing of the user's site folder. `START` sets sys.path instead.
            [sys.executable, "-I", "-B", "-W", "ignore", "-c", START, json.dumps(job)],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,  # a process group of its own, which `killpg` ends as a whole
        ) as process:
            try:
                yield Child(path, process, limits)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        os.close(lifeline)
        os.close(held)


class Child:
    """A child process that reads a foreign file.

    Attributes:
        path: The file that errors are about.
    """

    def __init__(self, path: Path, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.path = path
        self._process, self._limits = process, limits

    @property
    def ended(self) -> bool:
        """Whether the process has ended, so that `answer` does not wait."""
        return self._process.poll() is not None

    def answer(self) -> dict[str, Any]:
        """Wait until the process ends, and return its answer.

        Raises:
            CheckpointError, ReaderFailed: As `ingest`, if the child gives no answer. Its time by the clock is
                counted from this call.
        """
        path, process, limits = self.path, self._process, self._limits
        try:
            answer, complaints = _said_by(process, limits.wall_s)
        except subprocess.TimeoutExpired:
            raise ReaderFailed(
                f"reading it took longer than {limits.wall_s} s and was stopped.", path=path
            ) from None
        except OverflowError:
            raise ReaderFailed(
                f"its reader said more than {MOST_BYTES:,} bytes, which no report has, and was stopped.",
                path=path,
            ) from None
        if process.returncode:
            raise _crash(path, process.returncode, complaints.decode("utf-8", "replace"), limits)
        try:
            found: dict[str, Any] = json.loads(answer)
        except (ValueError, RecursionError):
            raise ReaderFailed("its reader's answer is no report.", path=path) from None
        return found


def _said_by(child: subprocess.Popen[bytes], wall_s: float) -> tuple[bytes, bytes]:
    """Read what the child prints on standard output and error, until it has ended.

    Raises:
        OverflowError: If it prints more than `MOST_BYTES`. Code that took it over could fill our memory.
        subprocess.TimeoutExpired: If it does not end in time.
    """
    assert child.stdout is not None
    assert child.stderr is not None
    deadline = time.monotonic() + wall_s
    out, err = child.stdout.fileno(), child.stderr.fileno()
    said = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(child.args, wall_s)
            for key, _ in ready:
                read = os.read(key.fd, 1 << 16)
                said[key.fd] += read
                if not read:
                    selector.unregister(key.fd)
                if len(said[key.fd]) > MOST_BYTES:
                    raise OverflowError
    child.wait(max(0.0, deadline - time.monotonic()))
    return bytes(said[out]), bytes(said[err])


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


def _named(path: Path, error: VcpbenchError) -> VcpbenchError:
    """Add the file's name to the child's error."""
    if isinstance(error, CheckpointMismatch):
        error = error.within(end=[_of_a_part(path.name)])
    return error.about(path) if isinstance(error, CheckpointError) else error


def _of_a_part(name: str) -> str:
    part = re.search(r"-(\d{5})-of-(\d{5})\.", name)
    if not part or int(part[2]) < 2:
        return ""
    return (
        f"\nBy its name it is part {int(part[1])} of {int(part[2])}. "
        "Join the parts into one file, and pass that file."
    )


def _with_counts_in_name(report: CheckpointReport, name: str) -> CheckpointReport:
    """Add step and epoch from the file's name to the report, if the file itself does not say them."""
    counted = training_of({}, (), name=name)
    if counted is None:
        return report
    said, sources = counted.as_dict(), dict(counted.sources)
    told = report.training or {}
    for fact in told.get("sources", {}):
        said[fact], sources[fact] = told[fact], told["sources"][fact]
    return dataclasses.replace(report, training={**said, "sources": sources})
