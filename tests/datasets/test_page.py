"""docs/datasets.md says what the code says: spellings of sides, suffixes of videos, reasons."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from vcp_core.datasets.scanning import REASONS, not_listed, of_suffix
from vcp_core.datasets.sides import AFFIXES, SPELLINGS
from vcp_core.datasets.suffixes import SUFFIXES

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
RENEW = "Renew it, and read the difference: .venv/bin/python -m tests.datasets.test_page"
SHOWN = {"train": "training", "val": "validation", "test": "test"}


def sides() -> str:
    rows = [f"| {SHOWN[side]} | {_code(words)} |" for side, words in SPELLINGS.items()]
    return "\n".join(["| side | words |", "|---|---|", *rows, f"| affixes | {_code(AFFIXES)} |"])


def suffixes() -> str:
    return textwrap.fill(" ".join(f"`{suffix}`" for suffix in sorted(SUFFIXES)), 110, break_on_hyphens=False)


def reasons() -> str:
    shown = [*REASONS, of_suffix(".xyz"), of_suffix(".txt"), not_listed("videos.csv")]
    lines = [f"| {reason.words} | {reason.advice or 'no warning'} |" for reason in shown]
    return "\n".join(["| reason | advice in the warning |", "|---|---|", *lines])


def _code(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


TABLES = {"sides": sides, "suffixes": suffixes, "reasons": reasons}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_says_what_the_code_says(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = page.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
    assert shown == TABLES[name]() + "\n", RENEW


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        text = before + begin + table() + "\n" + rest[rest.index(f"<!-- /{name} -->") :]
    PAGE.write_text(text, encoding="utf-8")
