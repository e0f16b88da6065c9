"""Show progress: bars with rate and estimate on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vcpbench_client.answers import Checkpoint, Comparison, Evaluation
from vcpbench_client.commands.common import messages, say
from vcpbench_client.comparing import ComparedMany
from vcpbench_client.uploads import Tell

HINT_S = 10.0  # seconds before the hint that no worker takes the job
LINE_S = 30.0  # between two lines of one stage, so that a log of CI stays short


@contextmanager
def uploading(quiet: bool = False) -> Iterator[Tell]:
    """Show the bars of an upload: one for hashing, one for sending."""
    if quiet or not messages().is_terminal:
        lines = _Lines(quiet, begin=False)
        yield lambda stage, done, total: lines.say(
            stage, f"{done / 1e6:.1f} of {total / 1e6:.1f} MB", last=done == total
        )
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=messages()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:  # bytes that an earlier upload sent do not count for the rate
                tasks[stage] = bars.add_task(stage, total=total, completed=done)
            bars.update(tasks[stage], completed=done)

        yield tell


@contextmanager
def reading(quiet: bool, nobody: Callable[[], str | None]) -> Iterator[Callable[[Checkpoint], None]]:
    """Show that the server reads the file, and a hint if no worker does.

    Args:
        quiet: Whether nothing is shown.
        nobody: Called once, after `HINT_S`. Returns a hint if no worker reads checkpoints, else None.
    """
    began, asked = time.monotonic(), False

    def hint() -> None:
        nonlocal asked
        if not asked and time.monotonic() - began > HINT_S:
            asked = True
            if text := nobody():
                say(text, style="yellow")

    if quiet or not messages().is_terminal:
        lines = _Lines(quiet, begin=True)

        def tell_lines(found: Checkpoint) -> None:
            lines.say("the server reads the file" if not found.ended else found.state, "", last=found.ended)
            hint()

        yield tell_lines
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages(), transient=True) as bars:
        bars.add_task("the server reads the file", total=None)
        yield lambda found: hint()


@contextmanager
def following_all(names: Mapping[str, str], quiet: bool = False) -> Iterator[Callable[[Evaluation], None]]:
    """Show one bar for many evaluations, and a line for each that ends.

    Args:
        names: The name to show for each evaluation, by its id.
        quiet: Whether nothing is shown.
    """
    found = dict[str, Evaluation]()

    def ends(now: Evaluation) -> None:
        before = found.get(now.id)
        found[now.id] = now
        if now.ended and not (before and before.ended) and not quiet:
            reason = f": {now.reason}" if now.reason else ""
            say(f"{names[now.id]}: {now.state}{reason}", style="red" if now.state == "failed" else None)

    if quiet or not messages().is_terminal:
        lines = _Lines(quiet, begin=False)

        def tell_lines(now: Evaluation) -> None:
            ends(now)
            if len(found) == len(names):
                lines.say("evaluating", _all_standing(found.values(), names), last=False)

        yield tell_lines
        return
    columns = (TextColumn("evaluating"), BarColumn(), TextColumn("{task.fields[standing]}"))
    with Progress(*columns, console=messages()) as bars:
        task = bars.add_task("evaluating", total=None, standing="")

        def tell(now: Evaluation) -> None:
            ends(now)
            bars.update(
                task,
                completed=sum(map(_fraction, found.values())),
                total=len(names),
                standing=escape(_all_standing(found.values(), names)),
            )

        yield tell


def _all_standing(found: Collection[Evaluation], names: Mapping[str, str]) -> str:
    """How many evaluations have ended, and the progress of one that has not."""
    text = f"{sum(one.ended for one in found)} of {len(names)} ended"
    late = [one for one in found if not one.ended]
    late.sort(key=lambda one: one.state == "waiting")  # evaluations under way come first
    if not late:
        return text
    stands = standing(late[0])
    return f"{text}; {names[late[0].id]}: {_stage(late[0])}{f', {stands}' if stands else ''}"


@contextmanager
def following(quiet: bool = False) -> Iterator[Callable[[Evaluation], None]]:
    """Show the bar of an evaluation: its stage, its share, the server's estimate, and why it waits."""
    if quiet or not messages().is_terminal:
        lines = _Lines(quiet, begin=True)
        yield lambda found: lines.say(_stage(found), standing(found), last=found.ended)
        return
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TextColumn("{task.fields[standing]}"))
    with Progress(*columns, console=messages()) as bars:
        task = bars.add_task("asked", total=None, standing="")

        def tell(found: Evaluation) -> None:
            fraction = found.progress.fraction if found.progress else None
            bars.update(
                task,
                description=_stage(found),
                completed=1 if found.state == "done" else fraction or 0,
                total=1 if found.ended or fraction is not None else None,
                standing=escape(standing(found)),
            )

        yield tell


@contextmanager
def comparing(quiet: bool = False) -> Iterator[Callable[[Comparison | ComparedMany], None]]:
    """Show the bar of a comparison, unless the comparison is there already."""
    if quiet or not messages().is_terminal:
        lines = _Lines(quiet, begin=True)

        def tell_lines(found: Comparison | ComparedMany) -> None:
            if not found.ended:
                lines.say("comparing", _comparison_standing(found), last=False)

        yield tell_lines
        return
    columns = (TextColumn("comparing"), BarColumn(), TextColumn("{task.fields[standing]}"))
    with Progress(*columns, console=messages(), transient=True) as bars:
        task = bars.add_task("comparing", total=1, standing="", visible=False)

        def tell(found: Comparison | ComparedMany) -> None:
            done = found.progress.fraction if found.progress else 0.0
            standing = escape(_comparison_standing(found))
            bars.update(task, completed=done, standing=standing, visible=not found.ended)

        yield tell


def _comparison_standing(found: Comparison | ComparedMany) -> str:
    """The share of a comparison that is done, and why the comparison waits, if it does."""
    share = f"{math.floor(100 * found.progress.fraction)} %" if found.progress else ""
    return ", ".join(part for part in (share, found.waiting_for) if part)


def _fraction(found: Evaluation) -> float:
    """The share of an evaluation that is done. An evaluation that has failed counts as 1."""
    return 1.0 if found.ended else (found.progress and found.progress.fraction) or 0.0


def _stage(found: Evaluation) -> str:
    """The current stage of an evaluation, or its state once it has ended."""
    if found.ended or found.progress is None:
        return found.state
    return found.progress.stage or found.state


def standing(found: Evaluation) -> str:
    """The progress of an evaluation in words: share, clips, scoring steps, estimate, and why it waits."""
    progress = found.progress
    if progress is None:
        return found.waiting_for or ""
    if found.ended:
        return f"{progress.clips_done} of {progress.clips_total} clips" if progress.clips_total else ""
    parts = []
    if progress.fraction is not None:
        parts.append(f"{math.floor(1000 * progress.fraction) / 10:.1f} %")
    if progress.clips_total:
        parts.append(f"{progress.clips_done} of {progress.clips_total} clips")
    if progress.scoring_total:
        parts.append(f"{progress.scoring_done} of {progress.scoring_total} steps of scoring")
    if progress.remaining_s is not None:
        parts.append(f"about {timedelta(seconds=round(progress.remaining_s))} left")
    if found.waiting_for:
        parts.append(found.waiting_for)
    return ", ".join(parts)


class _Lines:
    """Prints a line every `LINE_S` seconds, at the end, and if `begin` is true, when a stage begins."""

    def __init__(self, quiet: bool, *, begin: bool) -> None:
        self._quiet, self._begin = quiet, begin
        self._stage, self._said, self._said_at = "", "", 0.0

    def say(self, stage: str, text: str, *, last: bool) -> None:
        line, now = f"{stage}: {text}" if text else stage, time.monotonic()
        begins = stage != self._stage
        due = last or now - self._said_at > LINE_S
        if begins:
            self._stage, self._said_at = stage, now
            due = self._begin or last
        if due and line != self._said and not self._quiet:
            say(line)
            self._said, self._said_at = line, now
