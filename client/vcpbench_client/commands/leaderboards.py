"""`vcpbench results`, `leaderboard`, `compare`, `datasets`, `protocols`: read from the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import (
    INTERRUPTED,
    connect,
    plainly,
    print_json,
    say,
    show,
    terminal_width,
)
from vcpbench_client.defaults import DATASET, PROTOCOL

if TYPE_CHECKING:
    from vcpbench_client.answers import Board, Comparison
    from vcpbench_client.client import Client

AllFlag = Annotated[bool, typer.Option("--all", help="Show every metric, not only the headline ones.")]


@plainly
def results(
    evaluation: Annotated[str, typer.Argument(help=options.EVALUATION)],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print everything as JSON, with per-video predictions and provenance."),
    ] = False,
) -> None:
    """Show every score of an evaluation. `--json` prints the same bytes as `vcpbench local --json`.

    **Examples**

    `vcpbench results my-model@latest`

    `vcpbench results 0d9c2c0e --json > results.json`
    """
    with connect() as client:
        if as_json:
            print_json(client.results_json(evaluation))
            return
        found = client.evaluation(evaluation)
    if found.state != "done":
        from vcpbench_client.errors import NotDone

        raise NotDone(found)
    from vcpbench_client import tables

    show(tables.scores(found.scores, headline=False))
    for benchmark, reason in found.unavailable.items():
        say(f"! {benchmark}: {reason}", style="yellow")
    for warning in found.warnings:
        say(f"! {warning}", style="yellow")


@plainly
def leaderboard(
    dataset: options.DatasetOption = DATASET,
    protocol: options.ProtocolOption = PROTOCOL,
    engine: Annotated[
        str | None, typer.Option(help="Engine that made the results. Default: the server's own.")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="Sort by a metric, created_at, model or step. A `-` before it: largest first.")
    ] = "-recognition.top1",
    metric: Annotated[list[str] | None, typer.Option(help="A metric to show; repeat for several.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Part of the model's name.", autocompletion=options.complete_model)
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only of this backbone.")] = None,
    run: Annotated[str | None, typer.Option(help="Only of this training run.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Only every model's newest checkpoint.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Rows.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Rows to skip.")] = 0,
    written_as: Annotated[
        Literal["table", "markdown", "latex"],
        typer.Option("--format", help="A table for the terminal, for a README, or for a paper."),
    ] = "table",
    as_json: options.JsonFlag = False,
) -> None:
    """List the finished evaluations of one dataset and one protocol, best first.

    A terminal's table has the columns that fit; a pipe gets all of them. In Markdown and LaTeX every number
    has its interval, and is bold only if its interval lies beyond those of all other rows.

    **Examples**

    `vcpbench leaderboard --dataset ucf101 --protocol standard-v1`

    `vcpbench leaderboard --sort -cloze.temporal --metric cloze.temporal --metric cloze.spatial --latest`

    `vcpbench leaderboard --metric recognition.top1 --metric retrieval.top1 --format latex > table.tex`
    """
    with connect() as client:
        found = client.leaderboard(
            dataset,
            protocol,
            engine=engine,
            sort=sort,
            metrics=metric or (),
            latest=latest,
            limit=limit,
            offset=offset,
            model=model,
            team=team,
            backbone=backbone,
            run=run,
        )
    if as_json:
        print_json(found)
        return
    if not found.rows and written_as == "table":
        data, under = found.dataset.name, found.protocol.name
        say(f"No finished evaluation on {data} under {under} matches. Ask for one:")
        say(f"  vcpbench evaluate FILE --model NAME --dataset {data} --protocol {under}")
    elif written_as == "table":
        _show(found)
    else:
        from vcpbench_client.papers import FORMATS

        show(FORMATS[written_as](found).rstrip())
    if found.older:
        say(f"Older: another version of vcpbench made these results ({found.engine}).", style="yellow")
    if any(row.outdated for row in found.rows):
        say(
            "!: made under an older version of a key scheme. Ask for the evaluation again to renew it.",
            style="yellow",
        )
    if found.total > len(found.rows):
        say(f"Rows {offset + 1} to {offset + len(found.rows)} of {found.total}; more: --offset, --limit.")


def _show(found: Board) -> None:
    from vcpbench_client import tables

    fingerprint = (found.dataset.fingerprint or "")[:12]
    table, left_out = tables.board(found, width=terminal_width())
    show(f"{found.dataset.name} {fingerprint}, {found.protocol.name}", table)
    if left_out:
        say(f"Not shown for want of width: {', '.join(left_out)}. Choose columns by --metric, or use --json.")


@plainly
def compare(
    first: Annotated[str, typer.Argument(help=options.EVALUATION)],
    second: Annotated[
        str, typer.Argument(help="Another evaluation, on the same videos under the same protocol.")
    ],
    every: AllFlag = False,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait. The comparison then goes on.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Compare the second evaluation with the first, paired by video, with intervals.

    A worker of the server compares the two once, and the server keeps the comparison.

    **Examples**

    `vcpbench compare 0d9c2c0e 7a4e6a7e`

    `vcpbench compare my-model@latest another@latest`
    """
    with connect() as client:
        found = compared(client, first, second, timeout_s=timeout_s, quiet=as_json)
        page = client.comparison_page(found.first.id, found.second.id)
    if as_json:
        print_json(found)
        return
    from vcpbench_client import tables

    for name, one in (("first", found.first.checkpoint), ("second", found.second.checkpoint)):
        show(f"{name:<7} {one.model or 'random weights'} {one.step if one.step is not None else ''}".rstrip())
    show(tables.differences(found.differences, headline=not every))
    for note in found.notes:
        show(note)
    say(page)


def compared(
    client: Client, first: str, second: str, *, timeout_s: float | None = None, quiet: bool
) -> Comparison:
    """Wait with progress until two evaluations are compared. After Ctrl-C the comparison goes on."""
    from vcpbench_client.commands.progress import comparing

    try:
        with comparing(quiet) as tell:
            return client.compare(first, second, on_progress=tell, timeout_s=timeout_s)
    except KeyboardInterrupt:
        say("The comparison goes on without you. To see it, run the same command again.")
        raise typer.Exit(INTERRUPTED) from None


@plainly
def datasets(as_json: options.JsonFlag = False) -> None:
    """List the datasets that the server knows.

    **Example**

    `vcpbench datasets`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.datasets()
    print_json(found) if as_json else show(tables.datasets(found))


@plainly
def protocols(as_json: options.JsonFlag = False) -> None:
    """List the protocols that the server knows.

    **Example**

    `vcpbench protocols --json`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.protocols()
    print_json(found) if as_json else show(tables.protocols(found))
