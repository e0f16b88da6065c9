"""What runs in the sandbox's child process; see sandbox.py."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import resource
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcp_core.catalog.errors import CheckpointError, VcpbenchError
from vcp_core.checkpoints.formats import identify
from vcp_core.checkpoints.origin import Origin, read_origin
from vcp_core.checkpoints.report import CheckpointReport, printable
from vcp_core.checkpoints.trainers import Training, training_of

if TYPE_CHECKING:
    from vcp_core.checkpoints.read import Contents

MAX_PREFIXES = 30  # of left-over tensors that a report lists
TOO_MUCH = "reading it takes more memory than a checkpoint of its size should."
ROOM_BYTES = 64 << 20  # between the ceiling and the kernel's limit: what small objects fill in some 0.3 s
LOOK_S = 0.02


def main(job: dict[str, Any]) -> None:
    """Do the job, and write the answer as JSON where standard output was."""
    answers = _Answers(os.dup(1))
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    ceiling = _Ceiling(job["limits"]["memory_bytes"], answers)
    for watch in (_end_with_parent, ceiling.watch):
        threading.Thread(target=watch, daemon=True).start()
    limits = job["limits"]
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_CPU, limits["cpu_s"], grace=1)
    try:
        report = _ingest(
            Path(job["path"]),
            Path(job["canonical_path"]),
            ceiling,
            backbone=job["backbone"],
            prefix=job["prefix"],
        )
        answer: dict[str, Any] = {"report": report.to_json()}
    except VcpbenchError as error:
        answer = {"error": error.as_dict()}
    except MemoryError:
        answer = {"error": CheckpointError(TOO_MUCH).as_dict()}
    answers.give(answer)
    os._exit(0)  # Python would take torch apart for half a second, and nothing here is worth it


class _Answers:
    """Where the one answer goes."""

    def __init__(self, fd: int) -> None:
        self._fd, self._given = fd, threading.Lock()

    def give(self, answer: dict[str, Any]) -> None:
        """Write it; a thread that comes second waits here until the process ends."""
        self._given.acquire()
        with os.fdopen(self._fd, "w", encoding="utf-8") as file:
            json.dump(answer, file)


class _Ceiling:
    """How far the address space may grow.

    The kernel's limit alone is not enough: small objects fill it to the last byte, and CPython 3.11 then
    spins. Unwinding into a handler takes a new int for where it was (Python/ceval.c, exception_unwind); if
    that cannot be had, it unwinds again from the same place, for ever, and never lets go of the interpreter.
    So a thread looks at a ceiling a little below the limit, and ends the process there.
    """

    def __init__(self, memory_bytes: int, answers: _Answers) -> None:
        self._memory_bytes, self._answers = memory_bytes, answers
        self._bytes: int | None = None
        self._before = resource.getrlimit(resource.RLIMIT_AS)

    def put(self, *, for_good: bool = False) -> None:
        """So much above what is mapped now."""
        ceiling = _address_space() + self._memory_bytes
        known = [limit for limit in self._before if limit != resource.RLIM_INFINITY]
        most = min([ceiling + ROOM_BYTES, *known])
        with contextlib.suppress(ValueError):  # macOS knows this limit, and does not let anyone set it
            resource.setrlimit(resource.RLIMIT_AS, (most, most if for_good else self._before[1]))
        self._bytes = ceiling

    def lift(self) -> None:
        """None, until it is put again."""
        self._bytes = None
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, self._before)

    def watch(self) -> None:
        """End the process, with the answer that says so, once it is reached."""
        while (ceiling := self._bytes) is None or _address_space() <= ceiling:
            time.sleep(LOOK_S)
        self._answers.give({"error": CheckpointError(TOO_MUCH).as_dict()})
        os._exit(0)


def _ingest(
    path: Path, canonical_path: Path, ceiling: _Ceiling, *, backbone: str | None, prefix: str | None
) -> CheckpointReport:
    ceiling.put()  # a zip's directory becomes objects, nine times its size of them
    identify(path)  # before torch is imported: a file of another kind is refused at once
    ceiling.lift()  # torch needs its own
    import torch  # noqa: F401 - the rest takes little

    ceiling.put(for_good=True)
    return ingest_here(path, canonical_path, backbone=backbone, prefix=prefix)


def ingest_here(
    path: Path, canonical_path: Path, *, backbone: str | None = None, prefix: str | None = None
) -> CheckpointReport:
    """Read a file in this process: the sandbox's child, or one that wrote the file itself."""
    from vcp_core.checkpoints import canonical
    from vcp_core.checkpoints.networks import choose
    from vcp_core.checkpoints.read import read_contents

    contents = read_contents(path, canonical_path.parent)
    tensors = contents.tensors
    choice = choose(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        backbone=backbone,
        prefix=prefix,
        words={*contents.containers, *contents.values},
        equal=lambda first, second: canonical.are_equal(tensors[first], tensors[second]),
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
    """The dictionaries that a prefix goes through, and what is left: the beginning of the keys themselves."""
    ends = [end for end, character in enumerate(prefix) if character == "." and prefix[:end] in containers]
    cut = max(ends, default=-1)
    return prefix[: max(cut, 0)], prefix[cut + 1 :]


def _left_over(names: list[str], prefix: str) -> dict[str, int]:
    """Left-over tensors, counted by where their names part from the backbone's."""
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
    """Bytes mapped so far: torch alone takes from half a gigabyte to tens, depending on its build."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 64 << 30


def _limit(kind: int, value: int, *, grace: int = 0) -> None:
    """Set a limit for good; with `grace`, a signal that can be told from others comes that much earlier."""
    _, hard = resource.getrlimit(kind)
    most = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    with contextlib.suppress(ValueError):  # macOS knows limits that it does not let anyone set
        resource.setrlimit(kind, (min(value, most), most))


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: this returns when the parent is gone
    os._exit(1)
