"""The only place that opens a foreign file: a child process with limits, no secrets and nothing to lose.

The child gets an environment of a few harmless variables, limits on memory, processor time, file size and
open files, and no terminal. It ends when its parent does. It reads tensors only, finds the backbone, writes
the canonical file and answers with a report or an error; what else it prints is only shown if it crashes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import (
    CheckpointError,
    CheckpointMismatch,
    NotACheckpoint,
    Private,
    ReaderFailed,
    UnreadableCheckpoint,
    VcpbenchError,
)
from vcp_core.catalog.inputs import InputSpec
from vcp_core.checkpoints.folders import about_folder
from vcp_core.checkpoints.report import CheckpointReport, printable
from vcp_core.checkpoints.trainers import training_of

GIB = 1 << 30
PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")  # where libraries are found, and space is
ENDED_BY_OTHERS = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)  # no file makes its reader get these
# sys.path is the parent's, so that the child finds the same vcp_core however the parent did.
START = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path[:] = job.pop('sys_path'); "
    "from vcp_core.checkpoints.child import main; main(job)"
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the child may use.

    Attributes:
        memory_bytes: Address space on top of what Python and torch take.
        file_bytes: Size of any file it writes.
        cpu_s: Processor time.
        wall_s: Time by the clock.
    """

    memory_bytes: int
    file_bytes: int
    cpu_s: int
    wall_s: int

    @classmethod
    def for_size(cls, size_bytes: int) -> Limits:
        """Generous ones for a file of that size: a slow disk passes, a bomb does not."""
        return cls(
            # A legacy file is held whole, a mapped one counts as address space; half precision doubles.
            memory_bytes=4 * GIB + 4 * size_bytes,
            file_bytes=GIB + 4 * size_bytes,
            cpu_s=120 + size_bytes // 20_000_000,
            wall_s=300 + size_bytes // 5_000_000,
        )


def ingest(
    path: str | Path,
    canonical_path: Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    limits: Limits | None = None,
) -> CheckpointReport:
    """Read a foreign checkpoint in the sandbox, and write the canonical file of its backbone.

    Args:
        path: The foreign file; never opened in this process.
        canonical_path: Written whole or not at all.
        backbone: The only one to look for; found by itself if left out.
        prefix: Which of several networks in the file ("teacher."); the one trained by gradients if left out.
        limits: By the file's size if left out.

    Raises:
        UnknownName: If there is no such backbone.
        CheckpointError: If the file is not a whole, safe, finite checkpoint of a known backbone; its subclass
            says which of these.
        ReaderFailed: If its reader was killed, took too long or broke, which says nothing of the file.
        StorageError: If the canonical file cannot be written.
    """
    precheck(path, backbone=backbone)  # before a process is started
    path = Path(path)
    size_bytes = path.stat().st_size
    limits = limits or Limits.for_size(size_bytes)
    job = {
        "path": str(path.absolute()),
        "canonical_path": str(canonical_path.absolute()),
        "backbone": backbone,
        "prefix": prefix,
        "limits": vars(limits),
        "sys_path": [os.path.abspath(entry) for entry in sys.path],
    }
    answer = _run(path, job, limits)
    if "error" in answer:
        raise _named(path, VcpbenchError.from_dict(answer["error"]))
    return _with_counts_in_name(CheckpointReport.from_json(answer["report"]), path.name)


def child_environment() -> dict[str, str]:
    """All variables that the child sees. One thread: a limit on processor time should mean one thing."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **passed_on}


def precheck(path: str | Path, *, backbone: str | None = None, input_spec: str | None = None) -> None:
    """Find what is wrong without opening the file; at once, so that it can come before other long work.

    Args:
        path: As for `ingest`.
        backbone: As for `ingest`.
        input_spec: What it is declared to take in (`vcp_core.catalog.inputs`).

    Raises:
        UnknownName: If there is no such backbone.
        InputError: If the declared input makes no sense.
        NotACheckpoint: If there is no file, or none that can be read.
    """
    if backbone is not None:
        BACKBONES[backbone]
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


def _run(path: Path, job: dict[str, Any], limits: Limits) -> dict[str, Any]:
    lifeline, held = os.pipe()  # the child reads one end; the other closes with this process, however it ends
    try:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and code; the file is an argument to it
            [sys.executable, "-I", "-B", "-W", "ignore", "-c", START, json.dumps(job)],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
        try:
            answer, complaints = child.communicate(timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            raise ReaderFailed(
                f"reading it took longer than {limits.wall_s} s; stopped.", path=path
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
    finally:
        os.close(lifeline)
        os.close(held)
    if child.returncode:
        raise _crash(path, child.returncode, complaints.decode("utf-8", "replace"), limits)
    found: dict[str, Any] = json.loads(answer)
    return found


def _crash(path: Path, returncode: int, complaints: str, limits: Limits) -> VcpbenchError:
    last = " | ".join(printable(line.strip()) for line in complaints.strip().splitlines()[-3:])
    said = (" Its last words: ", Private(last)) if last else ()
    if returncode == -signal.SIGXCPU:
        return CheckpointError(
            f"reading it took more than {limits.cpu_s} s of processor time; stopped.", path=path
        )
    if returncode == -signal.SIGKILL:
        return ReaderFailed("its reader was killed; most likely memory ran out.", *said, path=path)
    if returncode in ENDED_BY_OTHERS:
        return ReaderFailed(f"its reader was told to end ({signal.Signals(-returncode).name}).", path=path)
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return UnreadableCheckpoint(
            f"its reader crashed ({name}). If it loads in your own environment, save its state_dict there "
            "and use that file.",
            *said,
            path=path,
        )
    return ReaderFailed(
        "its reader failed, which is a fault of vcpbench; please report it.", *said, path=path
    )


def _named(path: Path, error: VcpbenchError) -> VcpbenchError:
    """The child's error, with the name of the file that it is about."""
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
    """The report, with step and epoch from the file's name where the file itself does not say them."""
    counted = training_of({}, (), name=name)
    if counted is None:
        return report
    said, sources = counted.as_dict(), dict(counted.sources)
    told = report.training or {}
    for fact in told.get("sources", {}):
        said[fact], sources[fact] = told[fact], told["sources"][fact]
    return dataclasses.replace(report, training={**said, "sources": sources})
