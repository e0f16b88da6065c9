"""A worker's child that does not start behind walls: `python -m tests.walls.open_only`."""

from __future__ import annotations

import sys

from worker import child


def refuse(**_: object) -> None:
    sys.exit("CUDA error: initialization error")


if __name__ == "__main__":
    child._wall_in = refuse
    child.main()
