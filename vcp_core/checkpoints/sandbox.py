"""Open a foreign file in a child process behind walls, with limits and without secrets.

No other process opens the file. The child builds walls around itself before it reads the file
(vcp_core/walls). It gets a few harmless environment variables and no terminal. Its memory, processor time,
file size and number of open files are limited. It ends when its parent ends. The child reads tensors only,
finds the backbone, writes the canonical file into a folder of its own, and answers with a report or an error.
Its other output is shown only if it crashes.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcp_core import walls
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import (
    CheckpointError,
    CheckpointMismatch,
    NotACheckpoint,
    Private,
    ReaderFailed,
    StorageError,
    VcpbenchError,
)
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.readings import check_variant
from vcp_core.checkpoints.child_process import Child, Limits, start_child
from vcp_core.checkpoints.folders import about_folder
from vcp_core.checkpoints.report import CheckpointReport
from vcp_core.checkpoints.trainers import training_of


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
    with start_reading(
        path,
        canonical_path,
        backbone=backbone,
        prefix=prefix,
        variant=variant,
        input_spec=input_spec,
        limits=limits,
    ) as reading:
        return reading.report()


@contextmanager
def start_reading(
    path: str | Path,
    canonical_path: Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Reading]:
    """Start a child process that reads the file, with the arguments of `ingest`.

    The caller can do other work until it asks for the report. A child that has not ended by the end of the
    block is killed. The thread that starts the child must live until the child ends. Look, or ask for the
    report, within `Limits.wall_s`: a library in the child may fill a pipe that nobody reads.

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
        with start_child(path, job, limits) as child:
            yield Reading(child, folder / canonical_path.name, canonical_path, variant, input_spec)


class Reading:
    """A foreign file that a child process reads (see `start_reading`)."""

    def __init__(
        self, child: Child, written: Path, canonical_path: Path, variant: str | None, input_spec: str | None
    ) -> None:
        self._child, self._written, self._canonical_path = child, written, canonical_path
        self._variant, self._input_spec = variant, input_spec
        self._said: CheckpointReport | None = None

    def look(self) -> None:
        """Raise the error of a bad file, if the child has told it already. This does not wait."""
        if self._child.has_ended():
            self._answer()

    def report(self) -> CheckpointReport:
        """Wait until the child ends, put the canonical file in its place, and report. Call it once.

        Raises:
            VcpbenchError: As `ingest`.
        """
        report = self._answer()
        try:
            walls.take_over(self._written, self._canonical_path)
        except walls.NotHandedOver as error:
            raise ReaderFailed(f"its reader {error}.", path=self._child.path) from error
        return report

    def _answer(self) -> CheckpointReport:
        if self._said is None:
            answer, path = self._child.answer(), self._child.path
            if "error" in answer:
                raise _named(path, VcpbenchError.from_dict(answer["error"]))
            report = _with_counts_in_name(CheckpointReport.from_json(answer["report"]), path.name)
            self._said = report.read_as(variant=self._variant, input_spec=self._input_spec)
        return self._said


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
