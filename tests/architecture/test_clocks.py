"""Whose clock counts: rows are timed by the database, so what is told of them is, too."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN_CLOCK = re.compile(r"datetime\.(now|utcnow|today)|\btime\.time\(")


def test_estimates_and_ages_of_rows_are_by_the_databases_clock() -> None:
    files = [ROOT / "records" / "flow.py"]
    for folder in ("records/repositories", "records/models", "service"):
        files += sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 50
    found = {str(path.relative_to(ROOT)) for path in files if OWN_CLOCK.search(path.read_text())}
    assert not found
