"""A worker's child that does not start behind walls: `python -m tests.walls.open_only crash`."""

from __future__ import annotations

import sys
from typing import Any

from vcp_core.catalog.errors import VcpbenchError
from worker import child


def refuse(**_: object) -> None:
    """End the process, or answer as torch does that finds no device."""
    if sys.argv[1] == "crash":
        sys.exit("CUDA error: initialization error")
    child.FUNCTIONS = {"describe": no_device}


def no_device(tell: child.Tell, *, device: str) -> dict[str, Any]:
    raise VcpbenchError("no device cuda:0 here")


if __name__ == "__main__":
    child.wall_in = refuse
    child.main()
