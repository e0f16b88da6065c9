"""The pinned versions, and the oldest Python that they must run on."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
OLDEST = "3.11.2"  # Debian 12 has this one


def test_every_pinned_version_takes_the_python_of_debian() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    found = {}
    for name in pinned:
        try:
            found[name] = distribution(name).metadata["Requires-Python"] or ""
        except PackageNotFoundError:  # of a tool that this environment does not have
            continue
    assert len(found) > len(pinned) / 2
    assert {name: takes for name, takes in found.items() if not SpecifierSet(takes).contains(OLDEST)} == {}
