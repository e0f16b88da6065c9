"""Print what the Docker images install from the package index: dependencies, and two extras.

The list leaves out torch and vcpbench's own distributions. The service never imports torch, and
`pip install vcpbench[server]` would install it. The worker's image installs torch in a separate step, because
CPU and CUDA builds come from different indexes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

EXTRAS = ("server", "tracing")
LEFT_OUT = {"torch", "vcpbench", "vcpbench-client"}


def requirements(pyprojects: list[Path]) -> list[str]:
    """The requirements of these projects, sorted and without `LEFT_OUT`."""
    found: set[str] = set()
    for path in pyprojects:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        found.update(project["dependencies"])
        for extra in EXTRAS:
            found.update(project.get("optional-dependencies", {}).get(extra, []))
    return sorted(line for line in found if name(line) not in LEFT_OUT)


def name(requirement: str) -> str:
    """The name of the distribution that a requirement asks for, in small letters."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements([Path(path) for path in sys.argv[1:]])) + "\n")
