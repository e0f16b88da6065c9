"""What files cite is in a clone: sections of docs/protocol.md, and no page that only some machines have."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT, files_of_the_tree, headings

LAW = ROOT / "docs" / "protocol.md"
SECTIONS = {
    found[1] for found in (re.match(r"(\d+(?:\.\d+)*)\.? ", h) for h in headings(LAW.read_text())) if found
}
_NUMBER = r"\d+(?:\.\d+)*"
_CITED = re.compile(rf"\bPROTOCOL ({_NUMBER}(?:(?:,| and|, and) {_NUMBER}\b)*)")
# Pages from before the project had its own. Their names are in pieces here, so that this file cites none.
_NOT_IN_A_CLONE = re.compile(r"\.\./shared/\S*\.md|\b(?:PROTOCOL|DESIGN|STYLE|NETWORKS|LAYOUTS)\.md\b")
SUFFIXES = (
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".js",
    ".css",
    ".txt",
    "Makefile",
    "Dockerfile",
)


def cited(text: str) -> list[str]:
    """The sections of docs/protocol.md that a text cites."""
    return [number for found in _CITED.findall(text) for number in re.findall(_NUMBER, found)]


def test_citations_are_found_however_they_are_written() -> None:
    text = "PROTOCOL 9's recipe (PROTOCOL 3, 4 and 7); PROTOCOL 5.3, which PROTOCOL 2.\nPROTOCOL 10"
    assert cited(text) == ["9", "3", "4", "7", "5.3", "2", "10"]


def test_every_section_that_a_file_cites_is_a_heading_of_the_measurement_protocol() -> None:
    assert {str(number) for number in range(1, 11)} <= SECTIONS
    found = {
        str(path.relative_to(ROOT)): numbers
        for path in files_of_the_tree(*SUFFIXES)
        if path.name != "test_citations.py" and (numbers := cited(path.read_text(encoding="utf-8")))
    }
    assert len(found) > 20, "the citations were not found"
    missing = {path: unknown for path, numbers in found.items() if (unknown := set(numbers) - SECTIONS)}
    assert missing == {}


@pytest.mark.parametrize("name", ["../shared/" + "splits/README.md", "DESIGN" + ".md", "PROTOCOL" + ".md"])
def test_a_page_that_a_clone_does_not_have_is_known_by_its_name(name: str) -> None:
    assert _NOT_IN_A_CLONE.search(f"See {name}.")
    assert not _NOT_IN_A_CLONE.search("See docs/protocol.md and no ../shared beside this checkout.")


def test_no_file_cites_a_page_that_a_clone_does_not_have() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in files_of_the_tree(*SUFFIXES)
        if (names := _NOT_IN_A_CLONE.findall(path.read_text(encoding="utf-8")))
    }
    assert found == {}


_PLACE = re.compile(
    r"`((?:tests|docs|vcp_core|records|service|worker|stack|client|migrations|bench)/[\w./-]*)`"
)
TO_BE_MADE = {"vcp_core/benchmarks/centroid.py"}  # by the reader


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/protocol.md"]
)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = set(_PLACE.findall((ROOT / page).read_text(encoding="utf-8"))) - TO_BE_MADE
    assert {place for place in named if not (ROOT / place).exists()} == set()
