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
from typing import Any

from vcp_core.catalog.errors import CheckpointError, VcpbenchError
from vcp_core.checkpoints.formats import identify
from vcp_core.checkpoints.origin import read_origin
from vcp_core.checkpoints.report import CheckpointReport, printable

MAX_PLACES = 30  # of left-over tensors that a report lists
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
        answer = {"report": report.to_json()}
    except VcpbenchError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        answer = {"error": CheckpointError.__name__, "message": TOO_MUCH}
    answers.give(answer)


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
        self._answers.give({"error": CheckpointError.__name__, "message": TOO_MUCH})
        os._exit(0)


def _ingest(
    path: Path, canonical_path: Path, ceiling: _Ceiling, *, backbone: str | None, prefix: str | None
) -> CheckpointReport:
    ceiling.put()  # a zip's directory becomes objects, nine times its size of them
    identify(path)  # before torch is imported: a file of another kind is refused at once
    ceiling.lift()  # torch needs its own
    from vcp_core.checkpoints import canonical
    from vcp_core.checkpoints.match import find_backbone
    from vcp_core.checkpoints.read import read_contents

    ceiling.put(for_good=True)
    contents = read_contents(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in contents.tensors.items()}
    match, others = find_backbone(shapes, backbone=backbone, prefix=prefix)
    canonical.write_canonical(
        canonical_path, match.backbone, canonical.canonical_tensors(contents.tensors, match)
    )
    wrapper, inner = _split(match.prefix, contents.containers)
    own = {match.prefix + key for key in (*match.right, *match.steps)}
    skipped = f"{len(contents.skipped)} sparse, quantised or meta tensors were left out"
    return CheckpointReport(
        sha256=_sha256(path),
        size_bytes=path.stat().st_size,
        format=contents.format,
        backbone=match.backbone,
        scheme=match.scheme.name,
        wrapper=printable(wrapper),
        prefix=printable(inner),
        num_keys=match.num_keys,
        filled=match.filled,
        left_over=_places([name for name in shapes if name not in own], match.prefix),
        others=tuple(map(printable, others[:MAX_PLACES])),
        dtypes=canonical.weight_dtypes(contents.tensors, match),
        notes=(skipped,) if contents.skipped else (),
        origin=dataclasses.asdict(origin) if (origin := read_origin(path)) else None,
    )


def _split(prefix: str, containers: set[str]) -> tuple[str, str]:
    """The dictionaries that a prefix goes through, and what is left: the beginning of the keys themselves."""
    ends = [end for end, character in enumerate(prefix) if character == "." and prefix[:end] in containers]
    cut = max(ends, default=-1)
    return prefix[: max(cut, 0)], prefix[cut + 1 :]


def _places(names: list[str], prefix: str) -> dict[str, int]:
    """Left-over tensors, counted by where their names part from the backbone's."""
    wrappers = [prefix[: dot.end()] for dot in re.finditer(r"\.", prefix)][::-1]
    start = {name: len(next(filter(name.startswith, wrappers), "")) for name in names}
    places = Counter(
        printable(name[:begin] + name[begin:].partition(".")[0]) for name, begin in start.items()
    )
    most = places.most_common(MAX_PLACES)
    rest = places.total() - sum(count for _, count in most)
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
