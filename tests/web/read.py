"""Reading a page as a program: text, links, cells; and whether anything in it could run or be fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
    "media-src": "'self'", "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'",
    "frame-ancestors": "'none'",
}  # fmt: skip


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str, **attributes: str) -> Iterator[Element]:
        """Elements below of this name, with these attributes."""
        for child in self.children:
            wanted = {key.rstrip("_"): value for key, value in attributes.items()}
            if child.name == name and wanted.items() <= child.attributes.items():
                yield child
            yield from child.all(name, **attributes)


class _Reader(HTMLParser):
    VOID = ("meta", "link", "input", "br", "hr", "img")

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict.fromkeys([])))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(html: str) -> Element:
    """The root of a page or of a part; fails if an element is not closed."""
    reader = _Reader()
    reader.feed(html)
    assert len(reader.open) == 1, f"<{reader.open[-1].name}> is not closed"
    return reader.root


@dataclass
class Page:
    root: Element
    html: str

    @classmethod
    def of(cls, answer: httpx.Response) -> Page:
        """The page; fails unless its policy is strict and it holds nothing that the policy would block."""
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        rules = answer.headers["Content-Security-Policy"].split("; ")
        assert dict(rule.split(" ", 1) for rule in rules) == POLICY
        page = cls(read(answer.text), answer.text)
        for element in page.every():
            page._is_safe(element)
        return page

    def every(self, of: Element | None = None) -> Iterator[Element]:
        for child in (of or self.root).children:
            yield child
            yield from self.every(child)

    def _is_safe(self, element: Element) -> None:
        assert element.name != "style"
        assert "style" not in element.attributes
        assert not [name for name in element.attributes if name.startswith("on")]
        if element.name == "script":
            assert element.attributes["src"].startswith("/static/")
            assert not element.text
        for name in ("href", "src", "action"):
            address = element.attributes.get(name, "/")
            assert address.startswith(("/", "#", "?")), address
            assert not address.startswith("//")

    @property
    def text(self) -> str:
        return " ".join(next(self.root.all("main")).text.split())

    def links(self, text: str) -> list[str]:
        """Addresses of the links with this text."""
        found = self.root.all("a")
        return [link.attributes["href"] for link in found if " ".join(link.text.split()).strip("▾▴") == text]

    def rows(self) -> list[Element]:
        """Lines of the board."""
        (table,) = (table for table in self.root.all("table") if "board" in table.attributes.get("class", ""))
        body = next(table.all("tbody"))
        return list(body.all("tr"))
