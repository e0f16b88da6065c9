"""The work of the sandbox's child process, behind its walls and under its limits; see sandbox.py."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import math
import os
import re
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointError, CheckpointMismatch, VcpbenchError
from vcp_core.checkpoints.formats import identify
from vcp_core.checkpoints.handed import Handed, hand_over
from vcp_core.checkpoints.origin import Origin, read_origin
from vcp_core.checkpoints.report import CheckpointReport, printable
from vcp_core.checkpoints.trainers import Training, training_of
from vcp_core.walls import Walls, end_with, filter_calls, give_up_reading, python_files, raise_walls

if TYPE_CHECKING:
    from vcp_core.checkpoints.read import Contents

MAX_PREFIXES = 30  # the most prefixes of left-over tensors, and of other networks, that a report lists
TOO_MUCH = "reading it takes more memory than a checkpoint of its size should."
# The room between our ceiling and the kernel's limit. Small objects take some 0.3 s to fill it, and the
# watching thread looks every 0.02 s.
ROOM_BYTES = 64 << 20
LOOK_S = 0.02
PACKAGES = ("vcp_core", "torch", "numpy", "safetensors")
# What reading a file imports. Nothing can be imported later if the interpreter lies below /root.
IMPORTED = (
    "safetensors.torch",
    "torch",
    "vcp_core.checkpoints.canonical",
    "vcp_core.checkpoints.networks",
    "vcp_core.checkpoints.read",
    "vcp_core.graphs",
    *sorted({spec.builder.partition(":")[0] for spec in BACKBONES.values()}),
)
# What torch, the standard library and our messages import on first use: zipfile reads names in code page 437,
# and control characters of names are shown by their escapes.
LATE = (
    "encodings.ascii",
    "encodings.cp437",
    "encodings.latin_1",
    "encodings.unicode_escape",
    "numpy.ctypeslib",
    "torch.utils._device",
    "torch.utils.serialization.config",
)


def main(job: dict[str, Any]) -> None:
    """Do the job, and write the answer as JSON where standard output was."""
    answers = _Answers(os.dup(1))
    os.dup2(2, 1)  # standard output becomes standard error: a library's prints must not mix with the answer
    _set_limits(job["limits"])
    answer: dict[str, Any]
    try:
        canonical_path = Path(job["canonical_path"])
        handed = hand_over(Path(job["path"]), Path(job["folder"]), canonical_path.parent)
        walls = _raise_walls(handed, job)
        ceiling = _Ceiling(job["limits"]["memory_bytes"], job["limits"]["cpu_s"], answers)
        for watch in (_end_with_parent, ceiling.watch):
            threading.Thread(target=_watch, args=(watch,), daemon=True).start()
        answer = _answer(handed, canonical_path.name, walls, ceiling, job)
    except VcpbenchError as error:
        answer = {"error": error.as_dict()}
    answers.give(answer)
    os._exit(0)  # at once: the usual exit takes half a second to take torch apart, and nothing needs it


def _set_limits(limits: dict[str, int]) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])


def _raise_walls(handed: Handed, job: dict[str, Any]) -> Walls:
    """Build all walls, before a thread is started and before the first byte of the foreign file is read.

    Raises:
        WallsMissing: If the machine lacks one, and the parent requires all.
    """
    read = (*python_files(PACKAGES), handed.path)
    walls = raise_walls(read=read, write=(handed.folder,))
    end_with(job["parent"])
    walls = filter_calls(walls)
    walls.refuse_gaps(job["policy"])
    tempfile.tempdir = os.fspath(handed.folder)  # the only folder that can be written
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.tempdir  # a run without numbers makes this folder
    return walls


def _watch(watch: Callable[[], None]) -> None:
    give_up_reading()  # capabilities are the thread's own
    watch()


def _answer(
    handed: Handed, name: str, walls: Walls, ceiling: _Ceiling, job: dict[str, Any]
) -> dict[str, Any]:
    try:
        out = handed.folder / name
        report = _ingest(handed.path, out, walls, ceiling, backbone=job["backbone"], prefix=job["prefix"])
        return {"report": report.to_json()}
    except VcpbenchError as error:
        return {"error": handed.tell(error)}
    except MemoryError:
        return {"error": CheckpointError(TOO_MUCH).as_dict()}


class _Answers:
    """Writes the one answer of this process."""

    def __init__(self, fd: int) -> None:
        self._fd, self._given = fd, threading.Lock()

    def give(self, answer: dict[str, Any]) -> None:
        """Write the answer. A second thread that has one, too, waits here until the process ends."""
        self._given.acquire()  # never released, so only the first answer is written
        with os.fdopen(self._fd, "w", encoding="utf-8") as file:
            json.dump(answer, file)


class _Ceiling:
    """Limits how far the address space and the processor time may grow.

    The kernel's limit alone is not enough. Small objects can fill it to the last byte, and CPython 3.11 then
    loops forever: to unwind into an exception handler, it allocates an int (Python/ceval.c,
    exception_unwind). If this fails, it unwinds again from the same place, and never releases the
    interpreter's lock. So a thread compares the address space with a ceiling a little below the kernel's
    limit, and ends the process when the ceiling is reached.

    The kernel ends the process when its processor time is over. At the soft limit the process gets SIGXCPU,
    which tells the reason. At the hard limit it gets SIGKILL, which does not.
    """

    def __init__(self, memory_bytes: int, cpu_s: int, answers: _Answers) -> None:
        self._memory_bytes, self._cpu_s, self._answers = memory_bytes, cpu_s, answers
        self._bytes: int | None = None
        self._before = resource.getrlimit(resource.RLIMIT_AS)
        self._cpu_before = resource.getrlimit(resource.RLIMIT_CPU)

    def put(self, *, for_good: bool = False) -> None:
        """Set the ceiling at `memory_bytes` above what is mapped now, and `cpu_s` above what was used.

        Args:
            for_good: Whether the kernel's hard limits are set, too, so that nothing can raise them again.
        """
        used_s = math.ceil(time.process_time())  # a limit is a whole number of seconds
        known = [limit for limit in self._cpu_before if limit != resource.RLIM_INFINITY]
        soft_s = min([used_s + self._cpu_s, *(limit - 1 for limit in known)])  # below the hard limit
        hard_s = min([soft_s + 1, *known]) if for_good else self._cpu_before[1]
        resource.setrlimit(resource.RLIMIT_CPU, (soft_s, hard_s))
        ceiling = _address_space() + self._memory_bytes
        known = [limit for limit in self._before if limit != resource.RLIM_INFINITY]
        most = min([ceiling + ROOM_BYTES, *known])
        with contextlib.suppress(ValueError):  # macOS knows this limit, and does not let anyone set it
            resource.setrlimit(resource.RLIMIT_AS, (most, most if for_good else self._before[1]))
        self._bytes = ceiling

    def lift(self) -> None:
        """Remove the ceiling until `put` is called again."""
        self._bytes = None
        resource.setrlimit(resource.RLIMIT_CPU, self._cpu_before)
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, self._before)

    def watch(self) -> None:
        """Wait until the ceiling is reached. Then give the answer that says so, and end the process."""
        while (ceiling := self._bytes) is None or _address_space() <= ceiling:
            time.sleep(LOOK_S)
        self._answers.give({"error": CheckpointError(TOO_MUCH).as_dict()})
        os._exit(0)


def _ingest(
    path: Path,
    canonical_path: Path,
    walls: Walls,
    ceiling: _Ceiling,
    *,
    backbone: str | None,
    prefix: str | None,
) -> CheckpointReport:
    if "landlock" not in walls.standing:
        # Without Landlock's rules, the capability to read packages below /root would read every file.
        _import_everything(graphs=True)
    ceiling.put()  # reading a zip's directory makes objects of nine times its size
    file_format = identify(path)  # before torch is imported, so that another kind of file is refused at once
    ceiling.lift()  # torch takes memory and seconds of its own, and the ceiling is for the file alone
    _import_everything(graphs=file_format == "torch export")
    ceiling.put(for_good=True)
    return ingest_here(path, canonical_path, backbone=backbone, prefix=prefix)


def _import_everything(*, graphs: bool) -> None:
    """Import what reading needs, and give up the capability to read an interpreter below /root.

    Args:
        graphs: Whether to import what a run without numbers needs, too. It takes a second.
    """
    for name in IMPORTED:
        importlib.import_module(name)
    if graphs:
        importlib.import_module("vcp_core.graphs").load_meta_kernels()
    for name in LATE:
        with contextlib.suppress(ModuleNotFoundError):  # another version of torch may not have it
            importlib.import_module(name)
    give_up_reading()


def ingest_here(
    path: Path,
    canonical_path: Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
) -> CheckpointReport:
    """Read a file in this process. Call it only in the sandbox's child, or for a file that we wrote.

    Args:
        path: The file.
        canonical_path: The canonical file, written whole or not at all.
        backbone: As for `sandbox.ingest`.
        prefix: As for `sandbox.ingest`.
    """
    from vcp_core.checkpoints import canonical
    from vcp_core.checkpoints.networks import choose
    from vcp_core.checkpoints.read import read_contents

    if identify(path) == "torch export":
        _refuse_choices(backbone, prefix)
        return _ingest_graph(path, canonical_path)
    contents = read_contents(path, canonical_path.parent)
    tensors = contents.tensors
    choice = choose(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        backbone=backbone,
        prefix=prefix,
        words={*contents.containers, *contents.values},
        equal=canonical.Comparisons(tensors),
    )
    match = choice.match
    canonical.write_canonical(canonical_path, match.backbone, canonical.canonical_tensors(tensors, match))
    wrapper, inner = _split(match.prefix, contents.containers)
    own = {*match.names.values(), *match.spare}
    origin = read_origin(path)
    return CheckpointReport(
        sha256=_sha256(path),
        size_bytes=path.stat().st_size,
        format=contents.format,
        backbone=match.backbone,
        scheme=match.scheme.name,
        wrapper=printable(wrapper),
        prefix=printable(inner),
        stripped=match.stripped,
        network=printable(choice.network.name),
        why=choice.why,
        num_keys=match.num_keys,
        filled=tuple(key for key in match.steps if canonical.steps_of(tensors, match, key) is None),
        left_over=_left_over([name for name in tensors if name not in own], match.prefix),
        others=tuple(map(printable, choice.others[:MAX_PREFIXES])),
        dtypes=canonical.weight_dtypes(tensors, match),
        notes=_notes(contents),
        origin=dataclasses.asdict(origin) if origin else None,
        training=_training(contents, origin),
    )


def _refuse_choices(backbone: str | None, prefix: str | None) -> None:
    """Refuse what a user says of a file with weights alone. Nothing of it would be used."""
    said = [
        f"{option} {value}" for option, value in (("--backbone", backbone), ("--prefix", prefix)) if value
    ]
    if said:
        raise CheckpointMismatch(
            f"it is a program of torch.export, which is one whole network of its own. Leave out "
            f"{' and '.join(said)}."
        )


def _ingest_graph(path: Path, canonical_path: Path) -> CheckpointReport:
    from vcp_core.graphs import facts_of, read_graph, survey, write_canonical

    contents = read_graph(path)
    program, weights = contents.program, contents.weights
    declared = contents.declared
    facts = facts_of(
        program, weights, survey(program), stages=declared.stages, input_spec=declared.input_spec
    )
    write_canonical(canonical_path, program, weights)
    return CheckpointReport(
        sha256=_sha256(path),
        size_bytes=path.stat().st_size,
        format="torch export",
        backbone=facts.name,
        scheme=facts.spec.facts.name,
        wrapper="",
        prefix="",
        num_keys=len(program.weights),
        filled=(),
        left_over={},
        others=(),
        dtypes=tuple(sorted({weight.dtype for weight in program.weights})),
        graph=facts,
    )


def _notes(contents: Contents) -> tuple[str, ...]:
    skipped = f"{len(contents.skipped)} sparse, quantised or meta tensors were left out"
    return (*contents.notes, *([skipped] if contents.skipped else []))


def _training(contents: Contents, origin: Origin | None) -> dict[str, Any] | None:
    from vcp_core.checkpoints.canonical import count_of

    if origin:
        sources = dict.fromkeys(("step", "epoch", "run"), "vcpbench's own header")
        return Training(step=origin.step, epoch=origin.epoch, run=origin.run, sources=sources).as_dict()
    counts = {
        name: count
        for name, tensor in contents.tensors.items()
        if name.count(".") <= 2 and not tensor.dim() and not tensor.is_floating_point()
        if (count := count_of(tensor)) is not None
    }
    found = training_of({**counts, **contents.values}, {*contents.containers, *contents.tensors})
    return found.as_dict() if found else None


def _split(prefix: str, containers: set[str]) -> tuple[str, str]:
    """Split a prefix into the nested dictionaries that hold the keys and the beginning of the keys."""
    ends = [end for end, character in enumerate(prefix) if character == "." and prefix[:end] in containers]
    cut = max(ends, default=-1)
    return prefix[: max(cut, 0)], prefix[cut + 1 :]


def _left_over(names: list[str], prefix: str) -> dict[str, int]:
    """Count left-over tensors by the place where their names part from the backbone's names."""
    # The longest first, so that a name parts from the backbone's names as late as it can.
    wrappers = [prefix[: dot.end()] for dot in re.finditer(r"\.", prefix)][::-1]
    start = {name: len(next(filter(name.startswith, wrappers), "")) for name in names}
    prefixes = Counter(
        printable(name[:begin] + name[begin:].partition(".")[0]) for name, begin in start.items()
    )
    most = prefixes.most_common(MAX_PREFIXES)
    rest = prefixes.total() - sum(count for _, count in most)
    return dict(most) | ({"elsewhere": rest} if rest else {})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _address_space() -> int:
    """Read how many bytes are mapped. Torch alone maps half a gigabyte to tens of them, by its build."""
    # Without /proc (macOS) the number is a constant. The ceiling lies above it, and is never reached.
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 64 << 30


def _limit(kind: int, value: int) -> None:
    """Set a limit that cannot be raised again."""
    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError):  # macOS knows limits that it does not let anyone set
        resource.setrlimit(kind, (most, most))


def _end_with_parent() -> None:
    os.read(0, 1)  # the parent never writes, so this returns only when the parent is gone
    os._exit(1)
