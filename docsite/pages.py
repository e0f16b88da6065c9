"""Pages of the tree as pages of the site: where each goes, and what its links become there."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
NAV = Path(__file__).with_name("nav.toml")
INDEX = "docs/index.md"
DECISIONS = "docs/decisions"
# Pages whose name in the tree says nothing on the site.
RENAMED = {
    "README.md": "first-steps.md",
    "vcp_core/samples/README.md": "sample.md",
    "docs/notebook.ipynb": "notebook.md",
}
_FENCE = re.compile(r"^ *(`{3,}|~{3,})")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")


class BrokenLink(ValueError):
    """A page links to a file that is not in the tree."""


@dataclass(frozen=True)
class Section:
    """One part of the navigation.

    Attributes:
        title: Its heading.
        pages: Paths of its pages in the tree.
        generated: Names of its pages that are made by the build, without a suffix.
    """

    title: str
    pages: tuple[str, ...]
    generated: tuple[str, ...] = ()


def navigation(root: Path = ROOT, nav: Path = NAV) -> list[Section]:
    """Read the navigation; a pattern stands for all its files, by name."""
    sections = []
    for entry in tomllib.loads(nav.read_text(encoding="utf-8"))["section"]:
        paths = [path for pattern in entry.get("pages", ()) for path in _matching(root, pattern)]
        sections.append(Section(entry["title"], tuple(paths), tuple(entry.get("generated", ()))))
    return sections


def _matching(root: Path, pattern: str) -> list[str]:
    found = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
    if not found:
        raise BrokenLink(f"nav.toml: there is no {pattern}.")
    return found


def all_pages(root: Path, sections: list[Section]) -> list[str]:
    """Paths of all pages: those of the navigation, and everything below docs/.

    Sphinx warns of a page that no section has, and a warning fails the build.
    """
    below_docs = (path.relative_to(root).as_posix() for path in root.glob("docs/**/*.md"))
    return sorted({*below_docs, *(page for section in sections for page in section.pages)})


def place_of(page: str) -> str:
    """Where a page of the tree lies on the site.

    >>> place_of("docs/adding/route.md"), place_of("README.md"), place_of("CONTRIBUTING.md")
    ('adding/route.md', 'first-steps.md', 'contributing.md')
    """
    if page in RENAMED:
        return RENAMED[page]
    if page.startswith("docs/"):
        return page.removeprefix("docs/")
    return PurePosixPath(page).name.lower()


def rewrite_links(text: str, page: str, pages: set[str], root: Path = ROOT) -> str:
    """A page's text with its links as the site needs them.

    A link to another page leads to its place. A link to any other file of the tree becomes its text, because
    the site does not hold the file.

    Args:
        text: Markdown.
        page: Path of the page in the tree.
        pages: Paths of all pages of the site.
        root: Of the tree.

    Raises:
        BrokenLink: If a link leads to no file of the tree.
    """

    def rewritten(found: re.Match[str]) -> str:
        target, _, anchor = found["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        path = os.path.normpath(os.path.join(os.path.dirname(page), target))
        if not (root / path).exists():
            raise BrokenLink(f"{page}: there is no {target}.")
        if path == DECISIONS:
            place = "decisions/index.md"
        elif path in pages or found["image"]:
            place = place_of(path)
        else:
            return found["text"]
        relative = os.path.relpath(place, os.path.dirname(place_of(page)) or ".")
        return f"{found['image']}[{found['text']}]({relative}{'#' + anchor if anchor else ''})"

    return "".join(_LINK.sub(rewritten, part) if prose else part for prose, part in parts_of(text))


def parts_of(text: str) -> Iterator[tuple[bool, str]]:
    """Stretches of prose and code blocks, each with whether it is prose; together they are the text."""
    fence, part = "", ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if not fence and mark:
            yield True, part
            fence, part = mark[1], line
        elif fence and mark and mark[1].startswith(fence):
            yield False, part + line
            fence, part = "", ""
        else:
            part += line
    yield not fence, part


def title_of(text: str) -> str:
    """A page's heading."""
    return next(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))


def toctree(title: str, entries: list[str]) -> str:
    """One section of the navigation, as MyST writes it."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *entries, "```", ""])


def decisions_index(root: Path = ROOT) -> str:
    """A page that lists all decisions, the newest first."""
    lines = [
        "# Decisions",
        "",
        "Each page gives one decision, its reason, and the measurement behind the reason.",
        "",
    ]
    names = sorted((path.name for path in (root / DECISIONS).glob("*.md")), reverse=True)
    for name in names:
        title = title_of((root / DECISIONS / name).read_text(encoding="utf-8"))
        title = title.removeprefix(f"{name[:10]}: ")
        lines.append(f"- {name[:10]}: [{title}]({name})")
    tree = ["", "```{toctree}", ":hidden:", "", *(name.removesuffix(".md") for name in names), "```", ""]
    return "\n".join([*lines, *tree])
