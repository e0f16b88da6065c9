"""Walls around a worker's child that reads what is foreign: which files it needs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

MAKE = "import sys, vcp_core.datasets as made; print(end=str(made.load_dataset(sys.argv[1]).root))"
MOST_WRITTEN = 8 << 30  # bytes of a file of a child behind walls: features of a shard have some megabytes
# What CUDA reads besides libraries. Nobody ran it behind walls yet; a worker tries at its start.
GPU_FILES = ("/proc/driver/nvidia", "/proc/devices", "/sys/bus/pci", "/sys/devices", "/usr/local/cuda")


def wall_in(
    *, dataset: dict[str, str], closed: list[str], device: str, given: str, written: str, parent: int
) -> None:
    """Build walls around this process, which has one thread and has read nothing foreign yet.

    Started by root, it gives root up, but keeps the capability to read: its folder lies in one of root's own.
    Landlock bounds what it reads.
    """
    from vcp_core import walls

    main = sys.modules["__main__"].__spec__
    packages = {"vcp_core", "worker", *([main.name.partition(".")[0]] if main else [])}
    findings = Path(written, "index")  # a folder of the datasets' cache; later, no folder can be made
    findings.mkdir()
    read = [*walls.python_files(packages), Path(given)]
    read += _files_of(dataset, closed) if dataset else ()
    devices = [] if device == "cpu" else sorted(Path("/dev").glob("nvidia*"))
    read += map(Path, GPU_FILES if devices else ())
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    built = walls.raise_walls(read=read, write=[Path(written), findings], devices=devices)
    walls.end_with(parent)
    walls.filter_calls(built).refuse_gaps(walls.policy())
    # The user's cache would keep what code that took over this process wrote. torch makes the last folder.
    for name in ("VCPBENCH_CACHE", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ[name] = written


def _files_of(dataset: dict[str, str], closed: list[str]) -> list[Path]:
    """List the folders and files of a dataset. Videos of a built-in one are made if they are missing."""
    from vcp_core.catalog.datasets import is_built_in
    from vcp_core.catalog.reach import files_of

    if not is_built_in(dataset["name_or_path"]):
        return files_of(**dataset, closed=closed)
    # In a process of its own: it starts threads, and walls bind one thread.
    made = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", MAKE, dataset["name_or_path"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [Path(made.stdout)]
