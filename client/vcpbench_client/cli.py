"""The `vcpbench` command: its own subcommands, and those that other distributions add.

A distribution adds commands through the entry-point group `vcpbench.commands`; each entry is a function
(one command) or a `typer.Typer` (a group of commands).
"""

from __future__ import annotations

from importlib.metadata import entry_points, version

import typer

GROUP = "vcpbench.commands"

app = typer.Typer(
    name="vcpbench",
    help="What a video network's representation can do: cloze, recognition and retrieval.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vcpbench {version('vcpbench-client')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """What a video network's representation can do: cloze, recognition and retrieval."""


def _add_commands(root: typer.Typer) -> None:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        added = entry.load()
        if isinstance(added, typer.Typer):
            root.add_typer(added, name=entry.name)
        else:
            root.command(name=entry.name)(added)


def main() -> None:
    """Run the command line."""
    _add_commands(app)
    app()
