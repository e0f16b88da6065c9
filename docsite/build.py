"""From the tree to the finished site."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docsite import commands, library, notebooks, rest, results
from docsite.pages import (
    INDEX,
    ROOT,
    all_pages,
    decisions_index,
    navigation,
    place_of,
    rewrite_links,
    toctree,
)

# What a browser fetches by itself: scripts, styles, pictures, frames. A link that a reader clicks is none.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc\s*=\s*[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|<link\b(?=[^>]*\brel\s*=\s*[\"']?(?:stylesheet|preload|preconnect|icon|shortcut))[^>]*"
    r"\bhref\s*=\s*[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|url\(\s*[\"']?(?:https?:)?//[^)]+|@import\s+[\"'](?:https?:)?//[^\"']+"
)


class BuildFailed(SystemExit):
    """The site was not built; the message says why."""


def build(out: Path) -> None:
    """Build the whole site into a folder.

    Args:
        out: The folder; what lies there is replaced.

    Raises:
        BuildFailed: If Sphinx warns of anything, such as a link or an anchor that leads nowhere, or if a page
            would load a file from another host.
        BrokenLink: If a page links to a file that is not in the tree.
    """
    with tempfile.TemporaryDirectory(prefix="docsite") as temp:
        source = Path(temp, "source")
        stage(source)
        made = Path(temp, "html")
        run_sphinx(source, made)
        refuse_other_hosts(made)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo"))


def stage(source: Path) -> None:
    """Write all pages, those that are made from the code included, as Sphinx reads them."""
    sections = navigation()
    pages = all_pages(ROOT, sections)
    for page in pages:
        if notebooks.is_notebook(page):
            text = notebooks.markdown(notebooks.read(ROOT / page))
        else:
            text = (ROOT / page).read_text(encoding="utf-8")
        text = rewrite_links(text, page, set(pages))
        if page == "README.md":  # two pages called vcpbench could not be told apart in search
            text = text.replace("# vcpbench\n", "# First steps\n", 1)
        if page == INDEX:
            text += "".join(
                toctree(section.title, _entries(section.pages, section.generated)) for section in sections
            )
        _write(source / place_of(page), text)
    _write(source / "decisions/index.md", decisions_index())
    for name, text in (
        ("cli", commands.page()),
        ("rest", rest.page()),
        ("python", library.page("vcp_core")),
        ("client", library.page("vcpbench_client")),
        ("results", results.page()),
    ):
        _write(source / f"reference/{name}.md", text)
    shutil.copytree(ROOT / "docs/images", source / "images")


def _entries(pages: tuple[str, ...], generated: tuple[str, ...]) -> list[str]:
    titles = {"vcp_core/samples/README.md": "The sample"}
    entries = []
    for page in pages:
        name = place_of(page).removesuffix(".md")
        entries.append(f"{titles[page]} <{name}>" if page in titles else name)
    return [*entries, *generated]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run_sphinx(source: Path, out: Path) -> None:
    """Sphinx's HTML of a folder of pages; every warning is an error, and all of them are shown.

    Raises:
        BuildFailed: If there was a warning.
    """
    words = ["-b", "html", "-W", "--keep-going", "-q", "-E", "-j", "auto", "-c", str(Path(__file__).parent)]
    command = [sys.executable, "-m", "sphinx", *words, str(source), str(out)]
    ended = subprocess.run(command, check=False)  # noqa: S603 - our own words
    if ended.returncode:
        raise BuildFailed("The site was not built. Sphinx names each page and its problem above.")


def refuse_other_hosts(made: Path) -> None:
    """Pages load nothing from other hosts: readers are not told to anybody, and the site works offline.

    Raises:
        BuildFailed: If a page, a style or a script would.
    """
    for path in sorted(made.rglob("*")):
        if path.suffix in (".html", ".css") and (found := _FETCHED.search(path.read_text(encoding="utf-8"))):
            raise BuildFailed(f"{path.relative_to(made)} loads from another host: {found[0]}")
