"""Reference of a Python package, from the docstrings of its public names."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

HEADS = {
    "vcp_core": """# Python: vcp_core

This page is made from the docstrings of `vcp_core`'s public names: `from vcp_core import NAME`.
""",
    "vcpbench_client": """# Python: vcpbench_client

This page is made from the docstrings of `vcpbench_client`'s public names.
[The client](../client.md) shows them at work.
""",
}
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Examples?|Notes?):$")
_ITEM = re.compile(r"^(\*{0,2}\w[\w., |\[\]]*): (.*)")


def page(package: str) -> str:
    """The page's Markdown."""
    module = importlib.import_module(package)
    parts = [HEADS[package]]
    for name in sorted(module.__all__, key=str.lower):
        parts += _entry(name, getattr(module, name))
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> Iterator[str]:
    yield f"## {name}\n"
    if not inspect.isclass(thing):
        yield _signature(name, thing)
        yield markdown(inspect.getdoc(thing) or "")
        return
    if issubclass(thing, BaseException):
        yield f"An error, below {', '.join(f'`{base.__name__}`' for base in thing.__bases__)}.\n"
    elif not hasattr(thing, "model_fields"):
        yield _signature(name, thing)
    yield markdown((thing.__doc__ and inspect.cleandoc(thing.__doc__)) or "")
    for member, value in vars(thing).items():
        function = inspect.unwrap(getattr(value, "__func__", value))
        if member.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property):
            yield f"### {name}.{member}\n"
            yield markdown(inspect.getdoc(value) or "")
        elif inspect.isfunction(function):
            yield f"### {name}.{member}\n"
            yield _signature(member, function)
            yield markdown(inspect.getdoc(function) or "")


def _signature(name: str, thing: Any) -> str:
    """How it is called; one argument a line where a line would be long."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return ""
    given = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    returned = inspect.Signature.empty if inspect.isclass(thing) else signature.return_annotation
    signature = signature.replace(parameters=given, return_annotation=returned)
    text = _unquoted(f"{name}{signature}")
    if len(text) > 90:
        returns = "" if signature.return_annotation is inspect.Signature.empty else f" -> {_plain(signature)}"
        lines = []
        marked = False
        for one in given:
            if one.kind is one.KEYWORD_ONLY and not marked:
                lines.append("*")
                marked = True
            lines.append(_unquoted(str(one)))
        text = f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + f"){returns}"
    return f"```text\n{text}\n```\n"


def _unquoted(text: str) -> str:
    """Annotations are kept as texts; their quotation marks are none of the code. An empty default stays."""
    return re.sub(r"'([^']+)'", r"\1", text)


def _plain(signature: inspect.Signature) -> str:
    found = signature.return_annotation
    return found if isinstance(found, str) else inspect.formatannotation(found)


def markdown(docstring: str) -> str:
    r"""A Google-style docstring as Markdown.

    >>> print(markdown("Adds.\n\nArgs:\n    a: One\n        number.\n"))
    Adds.
    <BLANKLINE>
    **Args**
    <BLANKLINE>
    - `a`: One number.
    <BLANKLINE>
    """
    parts: list[str] = []
    lines = docstring.expandtabs().splitlines()
    while lines:
        if found := _SECTION.match(lines[0]):
            body = []
            lines.pop(0)
            while lines and (not lines[0] or lines[0].startswith(" ")):
                body.append(lines.pop(0))
            parts += [f"**{found[1]}**", "", *_body(textwrap.dedent("\n".join(body))), ""]
        else:
            prose = []
            while lines and not _SECTION.match(lines[0]):
                prose.append(lines.pop(0))
            parts += ["\n".join(_prose(prose)).strip("\n"), ""]
    return "\n".join(parts).rstrip() + "\n"


def _body(text: str) -> Iterator[str]:
    """A section's items as a list; a body without items as prose."""
    lines = text.strip("\n").splitlines()
    items: list[str] = []
    for line in lines:
        if found := _ITEM.match(line):
            items.append(f"- `{found[1]}`: {found[2].strip()}")
        elif items and line.startswith(" "):
            items[-1] += f" {line.strip()}"
        elif line.strip():
            yield from _prose(lines)
            return
    yield from items


def _prose(lines: list[str]) -> Iterator[str]:
    """Paragraphs; indented drawings and doctests become code blocks."""
    block: list[str] = []
    for line in [*lines, ""]:
        code = line.startswith(("    ", ">>> ", "... ")) or (bool(block) and bool(line))
        if code:
            block.append(line)
            continue
        if block:
            language = "pycon" if block[0].lstrip().startswith(">>>") else "text"
            yield from (f"```{language}", *textwrap.dedent("\n".join(block)).splitlines(), "```")
            block = []
        yield line
