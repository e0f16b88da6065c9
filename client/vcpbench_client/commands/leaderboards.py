"""`vcpbench results`, `leaderboard`, `datasets`, `protocols`: read from the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show, terminal_width
from vcpbench_client.defaults import DATASET, PROTOCOL

if TYPE_CHECKING:
    from vcpbench_client.answers import Board


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

    show(tables.scores(found.scores, headline=False, width=terminal_width()))
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
    if not found.rows:
        data, under = found.dataset.name, found.protocol.name
        say(f"No finished evaluation on {data} under {under} matches. Ask for one:")
        say(f"  vcpbench evaluate FILE --model NAME --dataset {data} --protocol {under}")
    if written_as != "table":
        from vcpbench_client.papers import FORMATS

        show(FORMATS[written_as](found).rstrip())
    elif found.rows:
        _show(found)
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
    width, backbone = terminal_width(), tables.only_backbone(found)
    table, left_out = tables.board(found, width=width)
    also = f", {backbone}" if width is not None and backbone else ""
    show(f"{found.dataset.name} {fingerprint}, {found.protocol.name}{also}", table)
    if left_out:
        say(f"Not shown for want of width: {', '.join(left_out)}. Choose columns by --metric, or use --json.")


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
