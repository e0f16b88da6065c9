"""Shared by the commands: report errors, print JSON, declare options and their completion."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from vcpbench_client import defaults
from vcpbench_client.errors import ClientError
from vcpbench_client.output import writable_json

if TYPE_CHECKING:
    from rich.console import Console

    from vcpbench_client.client import Client

EVALUATION = "An evaluation: its id, the first characters of its id, or MODEL@latest."
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

    return Console(width=WIDEST)


@functools.cache
def messages() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True)


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


def _complete(names: Callable[[Client], Iterable[str]], incomplete: str) -> list[str]:
    """Names for a shell's completion. If the server does not answer within 2 seconds, there are none."""
    try:
        with connect(patience_s=0, timeout_s=2) as client:
            return sorted({name for name in names(client) if name.startswith(incomplete)})
    except ClientError:
        return []


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with `incomplete`, from the 100 newest checkpoints."""
    return _complete(lambda client: (one.model for one in client.checkpoints(limit=100)), incomplete)


def complete_dataset(incomplete: str) -> list[str]:
    """Names of datasets that begin with `incomplete`."""
    return _complete(lambda client: (one.name for one in client.datasets()), incomplete)


def complete_protocol(incomplete: str) -> list[str]:
    """Names of protocols that begin with `incomplete`."""
    return _complete(lambda client: (one.name for one in client.protocols()), incomplete)


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="Name of the dataset.",
        envvar=defaults.DATASET_VARIABLE,
        autocompletion=complete_dataset,
    ),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        "-p",
        help="Name or hash of the protocol.",
        envvar=defaults.PROTOCOL_VARIABLE,
        autocompletion=complete_protocol,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Name of the model that the checkpoint belongs to.",
        autocompletion=complete_model,
    ),
]
RunOption = Annotated[str | None, typer.Option("--run", help="Name of the training run.")]
StepOption = Annotated[int | None, typer.Option("--step", min=0, help="Step of the training run.")]
BackboneOption = Annotated[
    str | None, typer.Option("--backbone", help="Architecture. Default: the server recognises it.")
]
PretrainedOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="Training data of the checkpoint: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        help="Prefix of the network's keys, such as 'teacher.'. Default: the network trained by gradients.",
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec",
        help="Input of the network, if not the backbone's own: 'frames=8,stride=4,crop=224,...'",
    ),
]
