"""`vcpbench evaluate` with several files: send and evaluate each. If one fails, the others go on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vcpbench_client import tables
from vcpbench_client.answers import Checkpoint, Evaluation, plain
from vcpbench_client.commands.common import ERROR, error_facts, print_json, say, show
from vcpbench_client.commands.options import Facts
from vcpbench_client.commands.progress import following_all
from vcpbench_client.commands.uploads import completed, declared_by_name, send
from vcpbench_client.errors import (
    ApiError,
    ClientError,
    Conflict,
    FileError,
    Forbidden,
    NotDone,
    NotText,
    Unauthorised,
)

if TYPE_CHECKING:
    from vcpbench_client.client import Client

TOO_LARGE = 413  # HTTP status of a file over the server's limit, which other files may keep to


@dataclass(kw_only=True)
class Item:
    """A file, or a checkpoint that the server has already.

    Attributes:
        word: The file or checkpoint as the user wrote it.
        evaluation: The evaluation in its latest known state.
        error: Why there is no evaluation, or why it is not done.
    """

    word: str
    evaluation: Evaluation | None = None
    error: ClientError | None = None

    @property
    def order(self) -> tuple[bool, int, str]:
        """A sort key: by step. Items without a step come last."""
        step = self.evaluation.checkpoint.step if self.evaluation else None
        return step is None, step or 0, self.word


@dataclass(kw_only=True)
class Asked:
    """Several checkpoints on one dataset under one protocol.

    Attributes:
        client: The client of the server.
        dataset: The name of the dataset.
        protocol: The name or hash of the protocol.
        quiet: Whether to print JSON and no progress.
        items: One item for each different file.
    """

    client: Client
    dataset: str
    protocol: str
    quiet: bool
    items: list[Item] = field(default_factory=list)

    @property
    def going(self) -> list[Evaluation]:
        """The evaluations that were asked for."""
        return [item.evaluation for item in self.items if item.evaluation]


def evaluate(
    asked: Asked,
    words: Sequence[str],
    model: str | None,
    facts: Facts,
    *,
    wait: bool,
    timeout_s: float | None,
) -> None:
    """Send and evaluate each, show a table of all, and exit with 2 if one failed.

    Args:
        asked: The dataset and the protocol. This function fills in its `items`.
        words: Files, or checkpoints that the server has already.
        model: The model that the files belong to; None for checkpoints.
        facts: Facts that the user gives about every file.
        wait: Whether to wait until all evaluations have ended.
        timeout_s: The longest wait in seconds; None waits without a limit.
    """
    try:
        for word in _different(words, files=model is not None):
            _ask(asked, word, model, facts, named=not wait)
        if wait and asked.going:
            _follow(asked, timeout_s, files=model is not None)
    except (ClientError, KeyboardInterrupt, typer.Exit):
        if asked.going:
            whose = f" --model {shlex.quote(model)}" if model else ""
            say(f"{len(asked.going)} evaluations go on. Look at them: vcpbench evaluations{whose}")
        raise
    asked.items.sort(key=lambda item: item.order)
    if asked.quiet:
        print_json([_facts(item) for item in asked.items])
    else:
        show(tables.several({item.word: item.evaluation for item in asked.items if item.evaluation}))
    failed = [item for item in asked.items if item.error]
    for item in failed:
        named = isinstance(item.error, FileError) and item.error.path == Path(item.word)
        whose = "" if named else f"{item.word}: "
        say(f"{type(item.error).__name__}: {whose}{item.error}", style="red")
    if failed:
        names = ", ".join(item.word for item in failed)
        say(f"{len(failed)} of {len(asked.items)} failed: {names}.", style="bold red")
        raise typer.Exit(ERROR)


def _different(words: Sequence[str], *, files: bool) -> list[str]:
    """Each word once. Two spellings of one file's path count as one."""
    # Reversed, so that the first spelling stays: a dict keeps the last value of a key.
    return list({Path(word).resolve() if files else word: word for word in reversed(words)}.values())[::-1]


def _ask(asked: Asked, word: str, model: str | None, facts: Facts, *, named: bool) -> None:
    """Send a file and ask for its evaluation. Keep an error that concerns this file alone."""
    item = Item(word=word)
    asked.items.append(item)
    try:
        checkpoint: str | Checkpoint = word
        if model is not None:
            if not asked.quiet:
                say(word)
            more = facts | {"step": declared_by_name(Path(word))} if named else facts
            checkpoint = send(asked.client, Path(word), model, quiet=asked.quiet, **more)
        item.evaluation = asked.client.evaluate(checkpoint, asked.dataset, asked.protocol)
    except ClientError as error:
        if not _is_of_one(error, files=model is not None):
            raise
        item.error = error
        return
    same = [one for one in asked.items[:-1] if one.evaluation and one.evaluation.id == item.evaluation.id]
    if same:
        asked.items.remove(item)
        say(f"{word} is the same checkpoint as {same[0].word}.")


def _is_of_one(error: ClientError, *, files: bool) -> bool:
    """Whether the error concerns one item only. A wrong token or an unknown dataset stops all items."""
    if isinstance(error, ApiError) and not files:
        return not isinstance(error, Forbidden | Unauthorised)
    return isinstance(error, FileError | NotText | Conflict) or getattr(error, "status", None) == TOO_LARGE


def _follow(asked: Asked, timeout_s: float | None, *, files: bool) -> None:
    """Wait until all have ended. Add steps that stand only in the files' names."""
    going = [item for item in asked.items if item.evaluation]
    names = {item.evaluation.id: item.word for item in going if item.evaluation}
    with following_all(names, asked.quiet) as tell:
        ended = asked.client.wait_all(asked.going, on_progress=tell, timeout_s=timeout_s)
    for item, found in zip(going, ended, strict=True):
        item.evaluation = found
        if found.state != "done":
            item.error = NotDone(found)
        elif files:
            item.evaluation = completed(asked.client, found, Path(item.word))


def _facts(item: Item) -> dict[str, Any]:
    """An item as JSON: the file, and its evaluation or its error."""
    found = plain(item.evaluation) if item.evaluation else {}
    return {"file": item.word, **found, **(error_facts(item.error) if item.error else {})}
