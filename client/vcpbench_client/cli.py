"""The `vcpbench` command: its own subcommands, and those that other distributions add.

A distribution adds commands through the entry-point group `vcpbench.commands`; each entry is a function
(one command) or a `typer.Typer` (a group of commands). An entry that has the name of one of ours takes its
place: where the whole of vcpbench is installed, `vcpbench status` speaks of the stack on this machine, too.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version

import typer

from vcpbench_client.commands import boards, evaluations, gate, login
from vcpbench_client.output import outlive_readers

GROUP = "vcpbench.commands"
OWN = (
    login.login,
    evaluations.upload,
    evaluations.evaluate,
    evaluations.status,
    boards.results,
    boards.leaderboard,
    boards.compare,
    evaluations.cancel,
    boards.datasets,
    boards.protocols,
    gate.gate,
)
UNFORESEEN = 2

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
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    taken = {entry.name for entry in entries}
    for command in OWN:
        if command.__name__ not in taken:
            root.command(name=command.__name__)(command)
    for entry in entries:
        added = entry.load()
        if isinstance(added, typer.Typer):
            root.add_typer(added, name=entry.name)
        else:
            root.command(name=entry.name)(added)


def main() -> None:
    """Run the command line."""
    outlive_readers()
    try:
        _add_commands(app)
        try:
            app()
        finally:
            sys.stdout.flush()  # a full disk is an error while there still is an exit code to choose
    except Exception:
        # Python would exit with 1, which a gate's users read as "worse than allowed".
        import traceback

        traceback.print_exc()
        sys.exit(UNFORESEEN)
