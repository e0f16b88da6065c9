"""`vcpbench dataset`: make the playground, and show a dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from vcpbench_client.commands.options import option_groups

from stack.commands import options
from stack.commands.common import console, load, messages, plainly, print_json, progress_bars
from vcp_core.catalog.names import printable

if TYPE_CHECKING:
    from vcp_core.datasets import Dataset

EXAMPLES = 3  # files named for each reason

app = typer.Typer(help="Make the playground, and show a dataset.", no_args_is_help=True)


@app.command()
@plainly
def make(
    name: Annotated[
        str,
        typer.Argument(
            help="playground, playground-64, playground-136 or playground-344 (docs/datasets.md)."
        ),
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Folder to write to; vcpbench's data folder if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed makes another playground.")] = 0,
    as_json: options.JsonFlag = False,
) -> None:
    """Make the built-in videos: eight actions in a small world. This takes about a minute, once.

    **Examples**

    `vcpbench dataset make playground`

    `vcpbench dataset make playground-64 --folder /tmp/videos`
    """
    from vcp_core.datasets import playground

    with progress_bars() as tell:
        made = playground.load(
            name, folder=folder, seed=seed, progress=lambda done, total: tell("making videos", done, total)
        )
    if as_json:
        print_json(json.dumps({"name": name, "folder": str(made.root), "fingerprint": made.fingerprint}))
    else:
        said = f"{name}: {len(made.videos)} videos in {made.root}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)


@app.command()
@plainly
@option_groups()
def show(
    dataset: options.DatasetArgument,
    *,
    split: options.SplitOption = "1",
    files: options.DatasetFiles,
    as_json: options.JsonFlag = False,
) -> None:
    """Show classes, splits, groups, lengths, fingerprint, and the files that were left out.

    **Examples**

    `vcpbench dataset show playground`

    `vcpbench dataset show clips/ --test-groups P3 --json`
    """
    with progress_bars() as tell:
        loaded = load(dataset, split=split, tell=tell, **files)
    if as_json:
        print_json(json.dumps(_facts(loaded), indent=1))
    else:
        _print(loaded)


def _facts(dataset: Dataset) -> dict[str, Any]:
    from vcp_core.datasets.summary import summary

    return {"name": dataset.name, "fingerprint": dataset.fingerprint, **summary(dataset)}


def _print(dataset: Dataset) -> None:
    facts = _facts(dataset)
    sides, frames = facts["videos"], facts["frames"]
    console.print(
        f"[bold]{escape(dataset.name)}[/] split {escape(dataset.split_name)}: "
        f"{sides['train']} train, {sides['test']} test videos, "
        f"{facts['groups']} groups, licence {escape(dataset.licence)}",
        highlight=False,
    )
    console.print(
        f"{frames['least']} to {frames['most']} frames a video, fingerprint {dataset.fingerprint[:12]}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("class", "train", "test"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label, count in facts["classes"].items():
        table.add_row(escape(printable(label)), str(count["train"]), str(count["test"]))
    console.print(table)
    for line in _of_files(dataset, facts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for warning in dataset.warnings:
        messages.print(
            f"! {printable(warning)}", style="yellow", highlight=False, markup=False, soft_wrap=True
        )


def _of_files(dataset: Dataset, facts: dict[str, Any]) -> list[str]:
    """Lines that say how many files were taken, left out or damaged, and why."""
    not_taken, damaged = sum(files.count for files in dataset.not_taken), facts["damaged"]
    lines = [
        f"files: {facts['seen']} seen, {facts['taken']} taken, {len(dataset.left_out)} left out, "
        f"{not_taken} not taken; damaged among the taken: {damaged['videos']}"
    ]
    for reason, count in facts["left_out_by_reason"].items():
        examples = [left.id for left in dataset.left_out if left.reason == reason]
        lines.append(_line("left out", count, reason, examples[:EXAMPLES]))
    for files in dataset.not_taken:
        lines.append(_line("not taken", files.count, files.reason, files.examples))
    if damaged["videos"]:
        examples = [video.id for video in dataset.videos if video.num_damaged or video.num_failed_packets]
        reason = (
            f"the decoder mended {damaged['frames']} frames and refused {damaged['failed_packets']} packets"
        )
        lines.append(_line("damaged", damaged["videos"], reason, examples[:EXAMPLES]))
    return lines


def _line(what: str, count: int, reason: str, examples: Sequence[str]) -> str:
    rest = count - len(examples)
    more = f" and {rest} more" if rest > 0 else ""
    return f"  {what} {count:>5}  {printable(reason)}: {', '.join(map(printable, examples))}{more}"
