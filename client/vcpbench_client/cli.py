"""The `vcpbench` command: its own subcommands, and those that other distributions add.

A distribution adds commands through the entry-point group `vcpbench.commands`; each entry is a function
(one command) or a `typer.Typer` (a group of commands). An entry that has the name of one of ours takes its
place: where the whole of vcpbench is installed, `vcpbench status` speaks of the stack on this machine, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from typing import Any

import typer
from typer.core import TyperGroup

from vcpbench_client.commands import (
    admin,
    comparing,
    deleting,
    evaluations,
    events,
    export,
    gallery,
    gate,
    leaderboards,
    lists,
    login,
    logs,
    naming,
    sharing,
    tokens,
    uploads,
)
from vcpbench_client.commands.common import ERROR, INTERRUPTED, error_facts, print_json, say
from vcpbench_client.output import outlive_readers

GROUP = "vcpbench.commands"
OWN = (
    login.login,
    export.export,
    uploads.upload,
    evaluations.evaluate,
    evaluations.status,
    leaderboards.results,
    gallery.answers,
    lists.models,
    lists.checkpoints,
    lists.evaluations,
    leaderboards.leaderboard,
    comparing.compare,
    evaluations.cancel,
    leaderboards.datasets,
    leaderboards.protocols,
    gate.gate,
    naming.rename,
    naming.private,
    naming.public,
    events.events,
)
GROUPS = {
    "admin": admin.app,
    "delete": deleting.app,
    "tag": naming.tag_app,
    "alias": naming.alias_app,
    "log": logs.app,
    "note": sharing.note_app,
    "share": sharing.share_app,
    "token": tokens.app,
    "view": sharing.view_app,
    "webhook": events.webhook_app,
}
# Newer Typers bring a click of their own, so the base class of all errors of usage has no fixed address.
ClickException: type[Any] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class Root(TyperGroup):
    """All commands. Under `--json`, errors of usage are JSON, too."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the words before the command."""
        with _usage_errors_as_json():
            return super().make_context(*args, **kwargs)

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command's own words and run it."""
        with _usage_errors_as_json():
            return super().invoke(*args, **kwargs)


@contextmanager
def _usage_errors_as_json() -> Iterator[None]:
    """Typer prints errors of usage for people, on standard error. This adds the JSON on standard output."""
    try:
        yield
    except ClickException as error:
        if "--json" in sys.argv:
            print_json({"error": {"type": "UsageError", "message": error.format_message()}})
        raise


app = typer.Typer(
    name="vcpbench",
    cls=Root,
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
    for name, group in GROUPS.items():
        if name not in taken:
            root.add_typer(group, name=name)
    for command in OWN:
        if command.__name__ not in taken:
            root.command(name=command.__name__)(command)
    for entry in entries:
        added = entry.load()
        if isinstance(added, typer.Typer):
            root.add_typer(added, name=entry.name)
        else:
            root.command(name=entry.name)(added)


def load() -> Callable[[], None]:
    """Collect the commands, those of other distributions included, and return what runs them."""
    outlive_readers()
    with _accidents():
        _add_commands(app)
        command = typer.main.get_command(app)

    def run() -> None:
        with _accidents():
            try:
                command()
            except KeyboardInterrupt:  # before or after what a command does itself
                sys.exit(INTERRUPTED)
            finally:
                _flush()

    return run


def main() -> None:
    """Load and run the command line."""
    load()()


def _flush() -> None:
    """Write what is left while there still is an exit code to choose: a full disk is an error."""
    try:
        sys.stdout.flush()
    except OSError as error:
        say(f"Standard output cannot be written: {error.strerror}.", style="red")
        sys.exit(ERROR)


@contextmanager
def _accidents() -> Iterator[None]:
    """Exit with 2 after a fault of vcpbench's own, and say it.

    Python would exit with 1, which a gate's users read as "worse than allowed".
    """
    try:
        yield
    except Exception as error:
        import traceback

        traceback.print_exc()
        if "--json" in sys.argv:
            print_json(error_facts(error))
        sys.exit(ERROR)
