"""A worker's child that code took over while it decoded: `python -m tests.walls.attacking`.

With the argument "ordinary", the child is one of an ordinary user's worker.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from tests.walls import attempts
from tests.walls.attempts import SPARE_UID
from vcp_core.walls import python_files
from worker import child

wall_in = child.wall_in


def attack(tell: child.Tell, *, out: str, video: str, targets: dict[str, Any]) -> dict[str, Any]:
    """Decode a video, as the product does, and try to get out."""
    from vcp_core.video.decode import iter_frames

    frames = sum(1 for _ in iter_frames(Path(video)))
    Path(out).write_text("taken over")
    return {
        "frames": frames,
        "found": attempts.run(Path(out).parent, {**targets, "parent": os.getppid()}),
        "state": attempts.state(),
        "environment": dict(os.environ),
    }


def leave(tell: child.Tell, *, out: str, kind: str) -> dict[str, Any]:
    """Leave something else than the file that was asked for."""
    if kind == "link":
        os.symlink("/etc/passwd", out)
    elif kind == "folder":
        os.mkdir(out)
    return {}


def wall_in_as_ordinary(*, given: str, written: str, parent: int, **walls: Any) -> None:
    """Become an ordinary user whose worker made these folders, and build the walls in a fork."""
    for name in ("vcp_core.video.decode", "vcp_core.catalog.reach", "av"):
        importlib.import_module(name)
    python_files({"vcp_core", "worker", "tests"})  # loads what it needs of the standard library
    for folder in (Path(given).parent, Path(given), Path(written)):
        os.chown(folder, SPARE_UID, SPARE_UID)
    attempts.become_ordinary()
    if pid := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    wall_in(given=given, written=written, parent=os.getppid(), **walls)


if __name__ == "__main__":
    child.FUNCTIONS = {"attack": attack, "leave": leave}
    if "ordinary" in sys.argv:
        child.wall_in = wall_in_as_ordinary
    child.main()
