"""Reading Markdown pages: headings, GitHub's anchors of them, links, and tables between marks."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {
    "node_modules",
    "build",
    "dist",
    "site",
}  # made by tools, where somebody made them; not in a clone
_FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)")


def files_of_the_tree(*suffixes: str) -> Iterator[Path]:
    """Every file with one of these suffixes (all files: ""), but for hidden folders and what tools make."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and name not in NOT_OURS and not name.endswith(".egg-info")
        )
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(suffixes))


def headings(text: str) -> list[str]:
    """The headings of a page, in order, without their marks."""
    return _HEADING.findall(_FENCED.sub("", text))


def anchors(text: str) -> set[str]:
    """What a link to a place in the page may end with: as GitHub names headings."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in headings(text):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def links(text: str) -> list[str]:
    """Where the page's links and pictures lead, but for addresses of the web."""
    prose = _CODE.sub("", _FENCED.sub("", text))
    return [to for to in _LINK.findall(prose) if not re.match(r"[a-z][a-z0-9+.-]*:", to)]


def table_between(text: str, mark: str) -> list[list[str]]:
    """Cells of the rows of all tables between `<!-- mark -->` and `<!-- /mark -->`, without their heads."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    lines = text[text.index(begin) + len(begin) : text.index(end)].splitlines()
    rule = re.compile(r"[|: -]+")
    rows = [line for line in lines if line.startswith("|")]
    heads = {place - 1 for place, row in enumerate(rows) if rule.fullmatch(row) and "-" in row}
    kept = [row for place, row in enumerate(rows) if not {place, place - 1} & heads]
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in kept]
