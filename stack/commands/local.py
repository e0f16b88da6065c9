"""`vcpbench local`: evaluate a checkpoint in this process, without a server."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from vcpbench_client.commands.options import option_groups

from stack.commands import options
from stack.commands.common import (
    Tell,
    console,
    load,
    messages,
    one_file,
    plainly,
    print_json,
    progress_bars,
    split_names,
)
from vcp_core.catalog import units
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL
from vcp_core.catalog.files import refuse_unwritable, write_json
from vcp_core.catalog.networks import network_used
from vcp_core.catalog.options import OPTION_NAMES

if TYPE_CHECKING:
    from vcp_core.results.types import BenchmarkResult, Provenance, Results, Score
    from vcp_core.scoring.splits import MeanScore, SplitsMean

RECALLS = tuple(f"recall.{option}" for option in OPTION_NAMES)
HEADINGS = ("score", "95 % interval", "chance", "pixels", "random", "lift", "its interval")


@plainly
@option_groups()
@one_file
def local(
    file: options.CheckpointArgument,
    *,
    dataset: options.DatasetOption = DEFAULT_DATASET,
    protocol: options.ProtocolOption = DEFAULT_PROTOCOL,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write all results to this file; '-' prints them.")
    ] = None,
    timings: Annotated[
        Path | None,
        typer.Option(help="Write wall times to this file. They vary, so the results do not hold them."),
    ] = None,
    network: options.Network,
    benchmark: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(BENCHMARKS)}; all if left out.")
    ] = None,
    device: options.DeviceOption = None,
    controls: Annotated[bool, typer.Option(help="Measure random weights beside the checkpoint.")] = True,
    split: options.SplitsOption = "1",
    files: options.DatasetFiles,
    pretrained_on: options.PretrainedOnOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Print every metric: stages, variants, precision, all depths.")
    ] = False,
) -> None:
    """Evaluate a checkpoint here. Scores have 95 % intervals, and their lift over random weights.

    **Examples**

    `vcpbench local model.pt`

    `vcpbench local model.pt --dataset ucf101:/data/UCF101 --protocol standard-v1 --json scores.json`

    `vcpbench local model.pt --dataset clips/ --test-groups P3 --benchmark retrieval`

    `vcpbench local model.pt --dataset ucf101:/data/UCF101 --split 1,2,3`

    `vcpbench local model.pt --benchmark cloze --all`

    `vcpbench local tclr.pt --variant tclr`

    `vcpbench local dino.pt --prefix teacher. --input-spec frames=8,stride=4,mean=0.45,std=0.225`
    """
    from vcp_core.checkpoints import start_loading

    for written in (json_out, timings):
        if written and written != Path("-"):
            refuse_unwritable(written)
    names = split_names(split)
    runs: list[Results] = []
    with progress_bars() as bars:
        for name in names:
            since, tell = time.perf_counter(), bars if len(names) == 1 else of_split(name, bars)
            # A child reads the file while this process imports torch and loads the dataset. The other
            # arguments are checked after the start, because that needs torch.
            with start_loading(file, **network) as loading:
                from vcp_core.evaluation.evaluate import check_arguments, evaluate_loading

                checked = check_arguments(protocol, tuple(benchmark or ()), device)
                videos = load(dataset, split=name, tell=loading.watching(tell), **files)
                found = evaluate_loading(
                    loading,
                    videos,
                    checked,
                    controls=controls,
                    pretrained_on=pretrained_on,
                    tell=tell,
                    since=since,
                )
            runs.append(found)
    from vcp_core.scoring.splits import mean_of_splits

    if timings:
        clocks = [run.timings.model_dump() for run in runs if run.timings]
        write_json(timings, clocks[0] if len(names) == 1 else dict(zip(names, clocks, strict=True)))
    _give(runs[0] if len(runs) == 1 else mean_of_splits(runs), json_out, every=every)


def _give(found: Results | SplitsMean, json_out: Path | None, *, every: bool) -> None:
    """Print tables, or JSON for `--json -`, and write the file of `--json FILE`."""
    from vcp_core.scoring.splits import SplitsMean

    if json_out == Path("-"):
        print_json(found.to_json())
        return
    if isinstance(found, SplitsMean):
        show_mean(found)
    else:
        show(found, every=every)
    if json_out:
        found.save(json_out)
        messages.print(f"Wrote {json_out}", markup=False)


def of_split(name: str, bars: Tell) -> Tell:
    """The same bars, with the split's name before each stage."""
    return lambda stage, done, total, words="": bars(f"split {name}: {stage}", done, total, words)


def show_mean(mean: SplitsMean) -> None:
    """Print a table of means over splits, a table of each split's values, and the warnings."""
    origin = next(iter(mean.splits.values())).provenance
    console.print(
        f"[bold]{origin.backbone}[/] {origin.checkpoint['sha256'][:12]} on "
        f"[bold]{escape(origin.dataset['name'])}[/], mean over splits {', '.join(map(escape, mean.splits))}, "
        f"[bold]{escape(origin.protocol_name)}[/] {origin.protocol_hash[:12]}",
        highlight=False,
        soft_wrap=True,
    )
    _say_network(origin)
    table = _table(HEADINGS)
    own = _table([f"split {name}" for name in mean.splits])
    for score in mean.scores:
        if score.headline or score.metric.endswith(".top5"):
            style = "" if score.headline else "dim"
            table.add_row(score.metric, *_cells(score), style=style)
            own.add_row(score.metric, *(f"{value:.1f}" for value in score.by_split.values()), style=style)
    console.print(table)
    console.print(own)
    each = [f"split {name}: {said}" for name, one in mean.splits.items() for said in _warnings(one)]
    for warning in (*mean.warnings, *each):
        console.print(f"! {warning}", style="yellow", highlight=False, markup=False)


def _say_network(origin: Provenance) -> None:
    """Print which network of the file was evaluated, if the file holds several."""
    network = network_used(origin.checkpoint)
    if network is not None:
        console.print(str(network), style="yellow", highlight=False, markup=False, soft_wrap=True)


def _warnings(results: Results) -> list[str]:
    """All warnings of one run. A benchmark's warning begins with the benchmark's name."""
    of_benchmarks = [
        f"{result.benchmark}: {said}"
        for result in results.benchmarks
        for said in filter(None, [result.unavailable, *result.warnings])
    ]
    return [*of_benchmarks, *results.warnings]


def show(results: Results, *, every: bool = False) -> None:
    """Print a table of scores, their diagnosis in words, the warnings, and the provenance."""
    from vcp_core.results.diagnosis import diagnose

    origin = results.provenance
    data = origin.dataset
    console.print(
        f"[bold]{origin.backbone}[/] {origin.checkpoint['sha256'][:12]} on [bold]{escape(data['name'])}[/] "
        f"({data['videos']['train']} train, {data['videos']['test']} test videos), "
        f"[bold]{escape(origin.protocol_name)}[/] {origin.protocol_hash[:12]}",
        highlight=False,
        soft_wrap=True,
    )
    _say_network(origin)
    told = [score for result in results.benchmarks for score in result.scores if every or score.headline]
    with_units = any(score.unit == "number" for score in told)
    table = _table(HEADINGS, first="metric" if with_units else "percent")
    for result in results.benchmarks:
        _add_rows(table, result, every=every, with_units=with_units)
    console.print(table)
    scores = [score for result in results.benchmarks for score in result.scores]
    for sentence in diagnose(scores, num_controls=max(len(result.controls) for result in results.benchmarks)):
        console.print(sentence, highlight=False, markup=False)
    for warning in _warnings(results):
        console.print(f"! {warning}", style="yellow", highlight=False, markup=False)
    if results.timings:
        console.print(f"{origin.num_clips} clips, {results.timings.total_s:.0f} s", style="dim")


def _table(headings: Iterable[str], *, first: str = "percent") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # fits 80 columns
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add_rows(table: Table, result: BenchmarkResult, *, every: bool, with_units: bool) -> None:
    if result.unavailable:
        table.add_row(f"[bold]{result.benchmark}[/]", "-")
        return
    table.add_row(f"[bold]{result.benchmark}[/]")
    for score in result.scores:
        name = score.metric.removeprefix(f"{result.benchmark}.")
        style = "" if score.headline else "dim"
        unit = ", %" if with_units and score.unit == "percent" else ""
        if every:
            table.add_row(f"  {name}{unit}", *_cells(score), style=style)
            continue
        if name == "recall.original":
            table.add_row("  recall of", style="dim")
        if score.headline or name in RECALLS or name == "top5":
            table.add_row(f"  {name.replace('recall.', '  ')}{unit}", *_cells(score), style=style)


def _cells(score: Score | MeanScore) -> list[str]:
    def number(value: float | None, sign: str = "") -> str:
        return units.written(value, score.unit, sign)

    cells = [
        number(score.value),
        f"{number(score.low)}..{number(score.high)}",
        number(score.chance),
        number(score.pixels),
        number(score.control),
    ]
    if score.lift is None:
        return cells
    if score.lift_low is None or score.lift_high is None:
        return [*cells, number(score.lift, "+")]
    style = {1: "green", 0: "dim", -1: "red"}[units.verdict(score.lift_low, score.lift_high, score.better)]
    span = f"{number(score.lift_low, '+')}..{number(score.lift_high, '+')}"
    return [*cells, f"[{style}]{number(score.lift, '+')}[/]", span]
