"""Shared by the commands: report errors, print messages, tables and JSON."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from vcpbench_client.errors import ClientError
from vcpbench_client.output import writable_json

if TYPE_CHECKING:
    from rich.console import Console

    from vcpbench_client.client import Client

ERROR, INTERRUPTED = 2, 130  # exit codes; a shell gives 130 for SIGINT
WIDEST = 10_000  # characters of a line, so that rich wraps and cuts nothing

P = ParamSpec("P")
R = TypeVar("R")


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Print an expected error in one line, the log of a failed job below it, and exit with 2.

    Ctrl-C exits with 130.
    """
    return saying_errors(command, ClientError, interrupted="Interrupted.")


def saying_errors(command: Callable[P, R], *kinds: type[Exception], interrupted: str) -> Callable[P, R]:
    """Print errors of these kinds on standard error, and exit with 2. With `--json`, print them as JSON, too.

    Args:
        command: A function whose option `--json` is its argument `as_json`, or `json_out` if it takes a file.
        kinds: The error classes whose messages are written for users.
        interrupted: The message after Ctrl-C. The exit code is then 130.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except kinds as error:
            complain(error)
            if wants_json(kwargs):
                print_json(error_facts(error))
            raise typer.Exit(ERROR) from None
        except (KeyboardInterrupt, typer.Abort):
            say(interrupted)
            raise typer.Exit(INTERRUPTED) from None

    return run


def wants_json(options: Mapping[str, object]) -> bool:
    """Whether a command was told to print JSON on standard output."""
    return options.get("as_json") is True or options.get("json_out") == Path("-")


def error_facts(error: Exception) -> dict[str, Any]:
    """An error as JSON: `{"error": {"type", "message"}}`, with the error's further fields."""
    facts: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ClientError):
        facts |= error.more
        if error.log_tail:
            facts["log_tail"] = error.log_tail
    return {"error": facts}


@functools.cache
def console() -> Console:
    """Standard output. A table wider than the terminal runs on, so that no cell is cut."""
    from rich.console import Console

    # Without a height, rich takes a terminal whose TERM is "dumb" for one of 80 columns.
    return Console(width=WIDEST, height=1)


@functools.cache
def messages() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True)


def terminal_width() -> int | None:
    """Characters of a line of standard output; None if that is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def prose(sentence: str) -> str:
    """A sentence for standard output. A terminal gets lines that end between words."""
    width = terminal_width()
    return sentence if width is None else textwrap.fill(sentence, width, break_on_hyphens=False)


def say(text: str, style: str | None = None) -> None:
    """Print a line on standard error, unchanged: rich would read brackets in names as markup."""
    messages().print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def complain(error: Exception) -> None:
    """Print an error, and below it the last lines of the failed job's log."""
    say(f"{type(error).__name__}: {error}", style="red")
    if isinstance(error, ClientError) and error.log_tail:
        say(error.log_tail.rstrip(), style="dim")


def show(*lines: object) -> None:
    """Print lines and tables on standard output."""
    for line in lines:
        console().print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON on standard output, without colours and without wrapping."""
    from vcpbench_client.answers import plain

    text = value if isinstance(value, str) else json.dumps(plain(value), indent=1)
    text = writable_json(text, sys.stdout.encoding)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


@contextmanager
def connect(**options: Any) -> Iterator[Client]:
    """Connect to the server of the environment, or else of `vcpbench login`."""
    from vcpbench_client.client import Client

    with Client(**options) as client:
        yield client
