"""Shared by the commands: report errors, show progress, load datasets."""

from __future__ import annotations

import functools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack
from typing import Protocol as Interface

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from vcpbench_client.commands.common import (
    print_json as print_json,
)  # the stack's commands print as the client's
from vcpbench_client.commands.common import saying_errors
from vcpbench_client.errors import ClientError, NotACheckpoint
from vcpbench_client.folders import Source, source_of

from vcp_core.catalog.datasets import loading
from vcp_core.catalog.errors import StorageError, VcpbenchError

if TYPE_CHECKING:
    from stack.commands.options import DatasetFiles
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


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Print an expected error of this command or of a server in one line, and exit with 2.

    Ctrl-C exits with 130.
    """
    said = "Interrupted. No file was left half-written. Run the same command again to go on."
    return saying_errors(command, VcpbenchError, ClientError, interrupted=said)


def one_file(command: Callable[..., R]) -> Callable[..., R]:
    """Let a command take a Hugging Face folder, or an index of shards, as its argument `file`.

    Shards are joined in a temporary file. Words of an input spec that the folder declares are printed. They
    count where the user gives none.
    """

    @functools.wraps(command)
    def run(*, file: Path, **given: Any) -> R:
        network = given.get("network", given)
        try:
            source = source_of(file)
        except NotACheckpoint:  # the command says which kind of folder it is
            return command(file=file, **given)
        if taken := source.taken():
            messages.print(taken, highlight=False, markup=False, soft_wrap=True)
        network["input_spec"] = source.input_spec(network["input_spec"])
        with _joined(source) as path:
            return command(file=path, **given)

    return run


@contextmanager
def _joined(source: Source) -> Iterator[Path]:
    """Give the one file of weights: joined for as long as the block runs, if there are shards."""
    if not source.is_sharded:
        yield source.path
        return
    with tempfile.TemporaryDirectory(prefix="vcpbench-") as folder:
        path = Path(folder) / "model.safetensors"
        try:
            with source.open() as shards, path.open("wb") as file:
                shutil.copyfileobj(shards, file, 1 << 20)
        except OSError as error:
            raise StorageError(
                path, f" cannot take the joined shards: {error.strerror}. Set TMPDIR to a folder with room."
            ) from error
        yield path


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
    bars = Progress(*columns, console=messages, disable=quiet)
    tasks: dict[str, TaskID] = {}

    def tell(stage: str, done: int, total: int, words: str = "") -> None:
        bars.start()  # not before: an error before the first stage would stand below an empty line
        if stage not in tasks:
            tasks[stage] = bars.add_task(escape(stage), total=total, words=words)
        bars.update(tasks[stage], completed=done, total=total, words=words)

    try:
        yield tell
    finally:
        if bars.live.is_started:
            bars.stop()


def split_names(splits: str) -> list[str]:
    """The names of splits in `--split`, each once.

    >>> split_names("1, 2,1")
    ['1', '2']
    """
    return list(dict.fromkeys(name.strip() for name in splits.split(",")))


def load(dataset: str, *, split: str, tell: Tell, **files: Unpack[DatasetFiles]) -> Dataset:
    """Load the dataset that the options name. A bar shows the progress while videos are decoded or made."""
    from vcp_core.datasets import load_dataset

    return load_dataset(
        dataset,
        split=split,
        csv=files["csv"],
        test_groups=tuple(files["test_groups"] or ()),
        suffixes=tuple(files["suffixes"] or ()),
        lists=files["lists"],
        progress=lambda done, total: tell(loading(dataset), done, total),
    )
