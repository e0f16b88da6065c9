"""`vcpbench models`, `checkpoints`, `evaluations`: list them, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
LimitOption = Annotated[int, typer.Option(min=1, help="Largest number of rows.")]
TeamOption = Annotated[str | None, typer.Option(help="Only of this team.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Only of this model.", autocompletion=options.complete_model),
]


@plainly
def models(
    name: Annotated[str | None, typer.Argument(help="Part of the name; every model if left out.")] = None,
    team: TeamOption = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    limit: LimitOption = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """List models: the numbers of checkpoints and evaluations, and the newest checkpoint of each.

    **Examples**

    `vcpbench models`

    `vcpbench models r3d --team vision --json`

    `vcpbench models --tag production`
    """
    from vcpbench_client import tables

    with connect() as client:
        _list(
            client.models(limit=limit + 1, name=name, team=team, tag=tag),
            limit,
            tables.models,
            as_json=as_json,
        )


@plainly
def checkpoints(
    model: ModelOption = None,
    team: TeamOption = None,
    limit: LimitOption = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """List checkpoints: the model and the step of each, and whether the server could read it.

    **Examples**

    `vcpbench checkpoints --model my-model`

    `vcpbench checkpoints --team vision --limit 500 --json`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.checkpoints(limit=limit + 1, model=model, team=team)
        _list(found, limit, tables.checkpoints, as_json=as_json)


@plainly
def evaluations(
    model: ModelOption = None,
    team: TeamOption = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", help="Only on this dataset.", autocompletion=options.complete_dataset
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol", "-p", help="Only under this protocol.", autocompletion=options.complete_protocol
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in this state: waiting, planning, running, scoring, done, failed or cancelled."
        ),
    ] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Only of the checkpoint with this id.")] = None,
    limit: LimitOption = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """List evaluations: the checkpoint, the dataset, the protocol and the state of each.

    **Examples**

    `vcpbench evaluations --model my-model`

    `vcpbench evaluations --state failed --dataset ucf101`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.evaluations(
            limit=limit + 1,
            model=model,
            team=team,
            dataset=dataset,
            protocol=protocol,
            state=state,
            checkpoint=checkpoint,
        )
        _list(found, limit, tables.evaluations, as_json=as_json)


def _list(found: Iterable[T], limit: int, table: Callable[[Iterable[T]], Table], *, as_json: bool) -> None:
    """Print at most `limit` rows, and say so if there are more."""
    rows = list(islice(found, limit + 1))
    if as_json:
        print_json(rows[:limit])
        return
    if rows:
        show(table(rows[:limit]))
    else:
        say("There are none.")
    if len(rows) > limit:
        say(f"There are more than {limit}. Show more of them: --limit {2 * limit}")
