"""`vcpbench dataset`: make the playground, look at a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from stack.commands.common import (
    CsvOption,
    DatasetArgument,
    JsonFlag,
    ListsOption,
    SplitOption,
    TestGroupsOption,
    console,
    load,
    messages,
    plainly,
    print_json,
    progress_bars,
)

if TYPE_CHECKING:
    from vcp_core.datasets import Dataset

app = typer.Typer(help="Make the playground, look at a dataset.", no_args_is_help=True)


@app.command()
@plainly
def make(
    name: Annotated[
        str,
        typer.Argument(help="playground; playground-64, a part of it; playground-344, with more to test on."),
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Where to; a folder of vcpbench's own if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed makes another playground.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Make the built-in videos: eight actions in a small world, about a minute, kept.

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
def show(
    dataset: DatasetArgument,
    split: SplitOption = "1",
    csv: CsvOption = None,
    test_groups: TestGroupsOption = None,
    lists: ListsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Classes, splits, groups, lengths, fingerprint, and what was left out.

    **Examples**

    `vcpbench dataset show playground`

    `vcpbench dataset show clips/ --test-groups P3 --json`
    """
    with progress_bars() as tell:
        loaded = load(dataset, split=split, csv=csv, test_groups=test_groups, lists=lists, tell=tell)
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
        table.add_row(escape(label), str(count["train"]), str(count["test"]))
    console.print(table)
    absent = [f"left out: {left.id}: {left.reason}" for left in dataset.left_out]
    for line in [*absent, *(f"! {warning}" for warning in dataset.warnings)]:
        messages.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
