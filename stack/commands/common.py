"""Shared by the commands: report errors, show progress, load datasets, declare options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar
from typing import Protocol as Interface

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from vcpbench_client.commands.common import (
    print_json as print_json,
)  # the stack's commands print as the client's
from vcpbench_client.commands.common import saying_errors
from vcpbench_client.errors import ClientError

from vcp_core.catalog.datasets import loading
from vcp_core.catalog.errors import VcpbenchError

if TYPE_CHECKING:
    from vcp_core.datasets import Dataset

P = ParamSpec("P")
R = TypeVar("R")


class Tell(Interface):
    """A function that shows progress."""

    def __call__(self, stage: str, done: int, total: int, words: str = "") -> None:
        """Show that `done` of `total` units of a stage are done, with a few words beside the bar."""


# For a pipe or a log, rich assumes 80 columns and would cut lines there.
console = Console(width=None if sys.stdout.isatty() else 10_000)
messages = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatasetArgument = Annotated[
    str,
    typer.Argument(
        help="A name (playground, playground-136, playground-344), ucf101:DIR, hmdb51:DIR, or a folder."
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(help="Prefix of the network's keys if the file holds several: 'teacher.'; '.' for none."),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec",
        help="Input of the network, if not the backbone's own: 'frames=8,stride=4,crop=224,...'",
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="A name (playground, playground-136, playground-344), ucf101:DIR, hmdb51:DIR, or a folder.",
    ),
]
SplitOption = Annotated[str, typer.Option("--split", help="Which split of UCF101 or HMDB51.")]
SplitsOption = Annotated[
    str, typer.Option("--split", help="Which split of UCF101 or HMDB51; '1,2,3' gives their mean.")
]
PretrainedOnOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="Training data of the checkpoint: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", help="Table of the videos: columns path,label and optionally group,split."),
]
TestGroupsOption = Annotated[
    list[str] | None,
    typer.Option("--test-groups", help="A group of the test side; repeat for several."),
]
SuffixOption = Annotated[
    list[str] | None,
    typer.Option("--suffix", help="A further suffix of video files, such as .xyz; repeat for several."),
]

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of all data. Default: VCPBENCH_HOME, else the user's data folder."),
]
ListsOption = Annotated[
    Path | None,
    typer.Option("--lists", help="Folder of UCF101's or HMDB51's lists, if not beside the videos."),
]


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Print an expected error of this command or of a server in one line, and exit with 2.

    Ctrl-C exits with 130.
    """
    said = "Interrupted. No file was left half-written. Run the same command again to go on."
    return saying_errors(command, VcpbenchError, ClientError, interrupted=said)


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Tell]:
    """Show one bar for each stage on standard error, with an estimate of the time left."""
    columns = (
        TextColumn("{task.description:<29}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=messages, disable=quiet) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int, words: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(escape(stage), total=total, words=words)
            bars.update(tasks[stage], completed=done, total=total, words=words)

        yield tell


def load(
    dataset: str,
    *,
    split: str,
    csv: Path | None,
    test_groups: list[str] | None,
    suffixes: list[str] | None,
    lists: Path | None,
    tell: Tell,
) -> Dataset:
    """Load the dataset that the options name. A bar shows the progress while videos are decoded or made."""
    from vcp_core.datasets import load_dataset

    return load_dataset(
        dataset,
        split=split,
        csv=csv,
        test_groups=tuple(test_groups or ()),
        suffixes=tuple(suffixes or ()),
        lists=lists,
        progress=lambda done, total: tell(loading(dataset), done, total),
    )
