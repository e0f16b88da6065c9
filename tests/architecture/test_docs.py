"""Pages lead somewhere: every relative link, anchor and picture of every page in the tree is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, anchors, files_of_the_tree, headings, links

PAGES = list(files_of_the_tree(".md"))


def broken(page: Path, text: str) -> list[str]:
    """Links of a page's text that lead to no file of the tree, or to no heading of one."""
    found = []
    for to in links(text):
        path, _, anchor = to.partition("#")
        target = (page.parent / path).resolve() if path else page
        if path and not (target.exists() and target.is_relative_to(ROOT)):
            found.append(to)
        elif anchor and target.suffix == ".md":
            there = target.read_text(encoding="utf-8") if path else text
            if anchor not in anchors(there):
                found.append(to)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_of_the_tree_and_a_heading(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = ROOT / "docs" / "invented.md"
    text = (
        "# Here\n[a](#here) [b](#there) [c](gone.md) [d](glossary.md#gone) `[e](e.md)`\n```\n[f](f.md)\n```\n"
    )
    assert broken(page, text) == ["#there", "gone.md", "glossary.md#gone"]
    assert broken(page, "[outside](../../elsewhere.md) [web](https://x.invalid/y.md)") == [
        "../../elsewhere.md"
    ]


def test_anchors_are_made_as_github_makes_them() -> None:
    page = "# One word\n## 5.3 A, b & `c_d`\n```\n# no heading\n```\n## One word\n"
    assert headings(page) == ["One word", "5.3 A, b & `c_d`", "One word"]
    assert anchors(page) == {"one-word", "53-a-b--c_d", "one-word-1"}


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [page.parent / to.partition("#")[0] for to in links(page.read_text(encoding="utf-8"))]
    docs = {page.resolve() for page in (ROOT / "docs").glob("*.md")} | {
        page.resolve() for page in (ROOT / "docs" / "adding").glob("*.md")
    }
    assert docs - seen == set()
