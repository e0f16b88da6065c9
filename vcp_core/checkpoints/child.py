"""What runs in the sandbox's child process; see sandbox.py."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import CheckpointError, VcpbenchError
from vcp_core.checkpoints.formats import identify
from vcp_core.checkpoints.report import CheckpointReport, printable

MAX_PLACES = 30  # of left-over tensors that a report lists


def main(job: dict[str, Any]) -> None:
    """Do the job, and write the answer as JSON where standard output was."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limits = job["limits"]
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_CPU, limits["cpu_s"], grace=1)
    try:
        report = _ingest(
            Path(job["path"]),
            Path(job["canonical_path"]),
            limits["memory_bytes"],
            backbone=job["backbone"],
            prefix=job["prefix"],
        )
        answer = {"report": report.to_json()}
    except VcpbenchError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        message = "reading it takes more memory than a checkpoint of its size should."
        answer = {"error": CheckpointError.__name__, "message": message}
    with os.fdopen(answer_fd, "w", encoding="utf-8") as file:
        json.dump(answer, file)


def _ingest(
    path: Path, canonical_path: Path, memory_bytes: int, *, backbone: str | None, prefix: str | None
) -> CheckpointReport:
    with _at_most(memory_bytes):  # a zip's directory becomes objects, nine times its size of them
        identify(path)  # before torch is imported: a file of another kind is refused at once
    from vcp_core.checkpoints import canonical
    from vcp_core.checkpoints.match import find_backbone
    from vcp_core.checkpoints.read import read_contents

    _limit(resource.RLIMIT_AS, _address_space() + memory_bytes)
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


@contextlib.contextmanager
def _at_most(memory_bytes: int) -> Iterator[None]:
    """Hold the address space to so much more than there is; let go again, because torch needs its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (min([_address_space() + memory_bytes, *known]), hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _limit(kind: int, value: int, *, grace: int = 0) -> None:
    """Set a limit for good; with `grace`, a signal that can be told from others comes that much earlier."""
    _, hard = resource.getrlimit(kind)
    most = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    with contextlib.suppress(ValueError):  # macOS knows limits that it does not let anyone set
        resource.setrlimit(kind, (min(value, most), most))


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: this returns when the parent is gone
    os._exit(1)
