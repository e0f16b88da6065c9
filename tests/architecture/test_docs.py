"""Pages lead somewhere: every relative link and picture of README and docs/ is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "service").rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    missing = [
        to for to, _ in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / to).exists()
    ]
    assert missing == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [page.parent / to for to, _ in LINK.findall(page.read_text(encoding="utf-8"))]
    docs = {page.resolve() for page in (ROOT / "docs").glob("*.md")} | {
        page.resolve() for page in (ROOT / "docs" / "adding").glob("*.md")
    }
    assert docs - seen == set()
