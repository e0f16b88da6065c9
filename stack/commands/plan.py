"""`vcpbench plan`: estimate what an evaluation will take here, before it starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from vcpbench_client.commands.options import option_groups

from stack.commands import options
from stack.commands.common import console, load, one_file, plainly, print_json, progress_bars
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL
from vcp_core.catalog.units import bytes_written
from vcp_core.progress import duration_range

if TYPE_CHECKING:
    from vcp_core.evaluation.estimate import Estimate
    from vcp_core.evaluation.rates import Span


@plainly
@option_groups()
@one_file
def plan(
    file: options.CheckpointArgument,
    *,
    dataset: options.DatasetOption = DEFAULT_DATASET,
    protocol: options.ProtocolOption = DEFAULT_PROTOCOL,
    network: options.Network,
    benchmark: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(BENCHMARKS)}; all if left out.")
    ] = None,
    device: options.DeviceOption = None,
    controls: Annotated[
        bool, typer.Option(help="Count random weights and pixels beside the checkpoint.")
    ] = True,
    split: options.SplitOption = "1",
    files: options.DatasetFiles,
    as_json: options.JsonFlag = False,
) -> None:
    """Estimate what `vcpbench local` will take here: clips, time, disk and memory.

    It decodes a few of the videos, forwards a few of their clips, and fits a small probe. That takes about
    10 s, once the videos are counted. Controls that are kept from an earlier evaluation take no time.

    **Examples**

    `vcpbench plan model.pt`

    `vcpbench plan model.pt --dataset ucf101:/data/UCF101 --protocol standard-v1`

    `vcpbench plan model.pt --dataset clips/ --no-controls --json`
    """
    from vcp_core.evaluation.evaluate import precheck
    from vcp_core.evaluation.measuring import estimate

    benchmarks = tuple(benchmark or ())
    precheck(  # before the videos are made or counted
        file,
        protocol,
        backbone=network["backbone"],
        variant=network["variant"],
        input_spec=network["input_spec"],
        benchmarks=benchmarks,
        device=device,
    )
    with progress_bars() as bars:
        found = estimate(
            file,
            load(dataset, split=split, tell=bars, **files),
            protocol,
            benchmarks=benchmarks,
            device=device,
            controls=controls,
            progress=bars,
            **network,
        )
    if as_json:
        print_json(json.dumps(found.as_dict(), indent=1))
    else:
        show(found)


def show(found: Estimate) -> None:
    """Print the estimate as a table, and what decides the time."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("what", style="dim", no_wrap=True)
    table.add_column("how much")
    for name, words in lines(found):
        table.add_row(name, words)
    console.print(table)
    console.print(decision(found), highlight=False, markup=False, soft_wrap=True)
    for benchmark, reason in found.unavailable.items():
        console.print(f"! {benchmark}: {reason}", style="yellow", highlight=False, markup=False)


def lines(found: Estimate) -> list[tuple[str, str]]:
    """The rows of the table: a name, and words."""
    counts, kept = found.counts, [one.name for one in found.networks if one.kept]
    networks = ", ".join(one.name for one in found.missing)
    return [
        ("videos", f"{counts.videos:,}"),
        ("clips", f"{counts.clips:,} for each network"),
        ("networks", f"{len(found.missing)} to measure: {networks}"),
        *([("kept already", f"{', '.join(kept)}; they take no time")] if kept else []),
        ("decoding", f"{written(found.decode_s)}, {sum(one.frames for one in found.missing):,} frames"),
        ("forwarding", f"{written(found.forward_s)}, {sum(one.clips for one in found.missing):,} clips"),
        ("scoring", written(found.scoring_s)),
        ("time in all", written(found.total_s)),
        ("disk", f"{bytes_written(found.largest_bytes)}: features of one network at a time, then deleted"),
        ("memory", f"about {bytes_written(found.memory_bytes)}"),
    ]


def decision(found: Estimate) -> str:
    """Say in a sentence what decides the time, and what would make it shorter."""
    ways = [f"{how}: {written(span)}" for how, span in found.shorter]
    shorter = f" Shorter with {'; '.join(ways)}." if ways else ""
    return f"Most of the time goes into {found.longest}.{shorter}"


def written(span: Span | None) -> str:
    """Write a range of seconds for people."""
    return "unknown" if span is None else duration_range(span.low, span.high)
