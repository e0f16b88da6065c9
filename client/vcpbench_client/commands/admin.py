"""`vcpbench admin`: commands that need an administrator's token."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from vcpbench_client.commands import operating, options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show
from vcpbench_client.defaults import DATASET, PROTOCOL

app = typer.Typer(help="Commands that need an administrator's token.", no_args_is_help=True)


for _command in operating.COMMANDS:
    app.command()(_command)


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


@app.command()
@plainly
def sizes(as_json: options.JsonFlag = False) -> None:
    """Show what is in the store, by kind, team and dataset, and what the next sweep would free.

    An administrator sees all teams. Another token sees its own team.

    **Examples**

    `vcpbench admin sizes`

    `vcpbench admin sizes --json`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.sizes()
    if as_json:
        print_json(found)
        return
    if found.sizes:
        show(tables.sizes(found.sizes))
    say(f"{found.count} objects, {tables.megabytes(found.size_bytes)}.")
    say(f"The next sweep would free {tables.megabytes(found.would_free_bytes)}.")


@app.command()
@plainly
def previews(
    dataset: Annotated[
        str, typer.Argument(help="Name of the dataset.", autocompletion=options.complete_dataset)
    ],
    shown: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Whether people may see previews. Left out: say how it stands."),
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Switch previews of a dataset's videos on or off. Pages then show no frame of these videos.

    This holds for datasets with equal videos under other names, too. `--off` deletes the previews that were
    made. To undo it, switch them on: workers make previews again when somebody looks at a video.

    **Examples**

    `vcpbench admin previews gestures --off`

    `vcpbench admin previews gestures`
    """
    with connect() as client:
        found = client.dataset(dataset) if shown is None else client.set_previews(dataset, shown=shown)
    if as_json:
        print_json(found)
        return
    show(f"previews of {found.name}: {'on' if found.shows_media else 'off'}")
    if shown is False:
        say("Those that were made are deleted. A browser may keep what it has seen for a day.")
        say(f"To undo this: vcpbench admin previews {shlex.quote(found.name)} --on")
    elif shown:
        say("Workers make previews when somebody looks at a video.")
        say(f"To undo this: vcpbench admin previews {shlex.quote(found.name)} --off")


@app.command()
@plainly
def audit(
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries, the newest first.")] = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """Show who changed what, and when. Without an administrator's token, only your own team's changes.

    **Examples**

    `vcpbench admin audit --limit 200`

    `vcpbench admin audit --team vision --json`
    """
    from vcpbench_client import event_tables

    with connect() as client:
        found = list(client.audit(team=team, limit=limit))
    if as_json:
        print_json(found)
    elif found:
        show(event_tables.audit(found))
    else:
        say("There are none.")
