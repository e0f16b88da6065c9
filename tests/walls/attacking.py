"""A worker's child that code took over while it decoded: `python -m tests.walls.attacking`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.walls import attempts
from worker import child


def attack(tell: child.Tell, *, out: str, video: str, targets: dict[str, Any]) -> dict[str, Any]:
    """Decode a video, as the product does, and try to get out."""
    from vcp_core.video.decode import iter_frames

    frames = sum(1 for _ in iter_frames(Path(video)))
    Path(out).write_text("taken over")
    return {
        "frames": frames,
        "found": attempts.run(Path(out).parent, targets),
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


if __name__ == "__main__":
    child.FUNCTIONS = {"attack": attack, "leave": leave}
    child.main()
