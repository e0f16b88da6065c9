"""`vcpbench admin`: commands that need an administrator's token."""

from __future__ import annotations

from typing import Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show
from vcpbench_client.defaults import DATASET, PROTOCOL

app = typer.Typer(help="Commands that need an administrator's token.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Commands that need an administrator's token."""


@app.command()
@plainly
def reevaluate(
    dataset: options.DatasetOption = DATASET,
    protocol: options.ProtocolOption = PROTOCOL,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine that made the older results. Default: every other engine, and outdated results."
        ),
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Evaluate the checkpoints of older leaderboards again. These jobs run when no other job waits.

    Results of another version of vcpbench share no leaderboard with newer ones. They stay where they are.
    Results under an older version of a key scheme stay on their leaderboard, marked as outdated.

    **Example**

    `vcpbench admin reevaluate --dataset ucf101 --protocol standard-v1`
    """
    with connect() as client:
        found = client.reevaluate(dataset, protocol, engine=engine)
    if as_json:
        print_json(found)
        return
    where = f"{found.dataset} under {found.protocol}"
    show(f"{where}: {len(found.asked)} asked for again, {len(found.there)} done or under way already")
    for evaluation, reason in found.left_out.items():
        say(f"! {evaluation}: {reason}", style="yellow")
