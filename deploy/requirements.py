"""What an image installs from the index: dependencies and the [server] extra, without torch and ourselves.

The service never imports torch, so its image does without; `pip install vcpbench[server]` would bring it. The
worker's image adds torch in a step of its own, because CPU and CUDA builds come from different indexes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

EXTRA = "server"
LEFT_OUT = {"torch", "vcpbench", "vcpbench-client"}


def requirements(pyprojects: list[Path]) -> list[str]:
    """Requirements of these projects, sorted."""
    found: set[str] = set()
    for path in pyprojects:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        found.update(project["dependencies"])
        found.update(project.get("optional-dependencies", {}).get(EXTRA, []))
    return sorted(line for line in found if name(line) not in LEFT_OUT)


def name(requirement: str) -> str:
    """The distribution that a requirement is about."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements([Path(path) for path in sys.argv[1:]])) + "\n")
