"""docs/protocol.md says what the code says: all numbers of the published protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.pages import ROOT, table_between
from vcp_core.catalog.options import OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
NAMES = ("standard-v1", "standard-bf16-v1", "paper-v1", "quick-v1")  # the table's columns


def flat(numbers: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in numbers.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        elif value is not None:
            yield before + key, value


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_every_number_of_every_published_protocol(name: str) -> None:
    shown = {}
    for number, *cells, _ in table_between(PAGE, "numbers"):
        cell = cells[NAMES.index(name)] or cells[0]
        if cell != "none":
            shown[number.strip("`")] = json.loads(cell)
    numbers = dict(flat(PROTOCOLS[name].model_dump(mode="json", exclude={"name"})))
    assert shown == numbers
    assert set(NAMES) == set(PROTOCOLS)


def test_the_page_counts_the_variants_of_every_option() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line[:3] == "| `"
    ]
    counts = {name.strip("`"): count for name, _, count, *rest in (row for row in rows if len(row) == 3)}
    assert list(counts) == list(OPTIONS)
    for spec in OPTIONS.values():
        assert counts[spec.name] == (str(len(spec.variants)) if spec.variants else "side and distance")
