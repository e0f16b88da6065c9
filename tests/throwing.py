"""A worker's child that raises what it is asked for: `python -m tests.throwing`."""

from __future__ import annotations

from typing import Any

from tests.errors import EVERY, FOLDER
from worker import child

UNFORESEEN = "unforeseen"  # a name for an exception that vcpbench does not raise on purpose


def index(tell: child.Tell, *, name: str, **_: Any) -> dict[str, Any]:
    """Raise the error of this name."""
    if name == UNFORESEEN:
        raise KeyError(f"{FOLDER}/x.avi")
    raise EVERY[name]


if __name__ == "__main__":
    child.FUNCTIONS = {"index": index}
    child.main()
