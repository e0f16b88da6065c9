"""What the commands share: how errors are said, and JSON printed."""

from __future__ import annotations

import functools
import json
import sys
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

ERROR, INTERRUPTED = 2, 130  # exit codes; 130 is the shell's for SIGINT
WIDEST = 10_000  # characters

P = ParamSpec("P")
R = TypeVar("R")


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Say expected errors in one line, a failed job's log below, and exit with 2; Ctrl-C exits with 130."""
    return saying_errors(command, ClientError, interrupted="Interrupted.")


def saying_errors(command: Callable[P, R], *kinds: type[Exception], interrupted: str) -> Callable[P, R]:
    """Say errors of these kinds on standard error, under `--json` also as JSON, and exit with 2.

    Args:
        command: A function whose option `--json` is its argument `as_json`, or `json_out` if it takes a file.
        kinds: Errors that are meant for users.
        interrupted: What is said after Ctrl-C; the exit code is 130 then.
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
    """An error as JSON has it: `{"error": {"type", "message"}}`, and what else is known of it."""
    facts: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ClientError):
        facts |= error.more
        if error.log_tail:
            facts["log_tail"] = error.log_tail
    return {"error": facts}


@functools.cache
def console() -> Console:
    """Standard output; a wide table runs on rather than losing what is in its cells."""
    from rich.console import Console

    return Console(width=WIDEST)


@functools.cache
def messages() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True)


def say(text: str, style: str | None = None) -> None:
    """A line for people on standard error, as it is: names may hold what rich would read as markup."""
    messages().print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def complain(error: Exception) -> None:
    """Say what went wrong, and below it what the failing job printed last."""
    say(f"{type(error).__name__}: {error}", style="red")
    if isinstance(error, ClientError) and error.log_tail:
        say(error.log_tail.rstrip(), style="dim")


def show(*lines: object) -> None:
    """Lines and tables on standard output."""
    for line in lines:
        console().print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on standard output: no colours, no wrapping."""
    from vcpbench_client.answers import plain

    text = value if isinstance(value, str) else json.dumps(plain(value), indent=1)
    text = writable_json(text, sys.stdout.encoding)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


@contextmanager
def connect(**options: Any) -> Iterator[Client]:
    """The server of the environment, or of `vcpbench login`."""
    from vcpbench_client.client import Client

    with Client(**options) as client:
        yield client
