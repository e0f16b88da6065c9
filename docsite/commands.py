"""Reference of the command line, from the Typer application itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import typer
from vcpbench_client import cli

HEAD = """# Command line

This page is made from the commands themselves; `vcpbench COMMAND --help` prints the same.
"""


@functools.cache
def command_tree() -> Any:
    """The root command, with the commands that other distributions add."""
    cli._add_commands(cli.app)
    return typer.main.get_command(cli.app)


def leaves(command: Any, path: tuple[str, ...] = ("vcpbench",)) -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its whole name; groups only lead to theirs."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name in sorted(inner):
        if not inner[name].hidden:
            yield from leaves(inner[name], (*path, name))


def page() -> str:
    """The page's Markdown."""
    parts = [HEAD]
    for name, command in leaves(command_tree()):
        parts.append(f"## {name.removeprefix('vcpbench ')}\n")
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        usage = " ".join([name, "[OPTIONS]", *map(_placeholder, arguments)])
        parts.append(f"```text\n{usage}\n```\n")
        parts.append(f"{_clean(command.help or '')}\n")
        parts += _table("argument", [(f"`{_placeholder(one)}`", one) for one in arguments])
        options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        parts += _table("option", [(_names(one), one) for one in options])
    return "\n".join(parts)


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    if argument.nargs == -1:
        name += "..."
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else (option.metavar or getattr(option.type, "name", "")).upper()
    return f"{names} {kind}".strip()


def _table(what: str, rows: list[tuple[str, Any]]) -> list[str]:
    rows = [(name, one) for name, one in rows if one.name != "help"]
    if not rows:
        return []
    lines = [f"| {what} | what it says | default |", "|---|---|---|"]
    lines += [f"| {name} | {_cell(one.help or '')} | {_default(one)} |" for name, one in rows]
    return [*lines, ""]


def _default(one: Any) -> str:
    if one.required:
        return "required"
    value = one.default
    if value is None or value is False or value in ((), [], "") or callable(value):
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(_clean(text).split()).replace("|", "\\|")


def _clean(text: str) -> str:
    """Help as Markdown, with its examples as code blocks."""
    return re.sub(r"^`(vcpbench [^`]+)`$", r"```sh\n\1\n```", text.strip(), flags=re.MULTILINE)
