"""`vcpbench log`: curves over training steps, which a model's page shows beside its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

app = typer.Typer(help="Upload training logs: curves over training steps.", no_args_is_help=True)


@app.command("upload")
@plainly
def upload_log(
    file: Annotated[Path, typer.Argument(help="A CSV file: a column `step`, and one for each curve.")],
    model: options.ModelOption,
    run: options.RunOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Upload the training log of a run. The model's page shows it beside the scores of its checkpoints.

    A new upload replaces the log of the run. The model must have a checkpoint.

    **Examples**

    `vcpbench log upload runs/r3d/log.csv --model r3d-vcp --run r3d`

    `vcpbench log upload curves.csv --model r3d-vcp`
    """
    with connect() as client:
        found = client.upload_log(file, model, run=run)
    if as_json:
        print_json(found)
        return
    of = f"run {found.run}" if found.run else "checkpoints without a run"
    say(f"{found.num_rows} steps of {', '.join(found.names)} for {of} of {found.team}/{found.model}.")
    show(found.id)


@app.command("list")
@plainly
def list_logs(model: options.ModelOption, as_json: options.JsonFlag = False) -> None:
    """List the training logs of a model, the last uploaded first.

    **Example**

    `vcpbench log list --model r3d-vcp`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.training_logs(model)
    if as_json:
        print_json(found)
    elif found:
        show(tables.logs(found))
    else:
        say("There are none.")


@app.command("remove")
@plainly
def remove_log(
    log: Annotated[str, typer.Argument(help="The log's id; `vcpbench log list` shows it.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Delete a training log of your team. Only uploading it again brings it back.

    **Example**

    `vcpbench log remove 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.delete_log(log)
    print_json(found) if as_json else show(f"{found.id} is deleted")
