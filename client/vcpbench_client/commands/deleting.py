"""`vcpbench delete`: delete evaluations, checkpoints, models and retired datasets for good."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show
from vcpbench_client.errors import Misconfigured

if TYPE_CHECKING:
    from vcpbench_client.deleting import Deletion

app = typer.Typer(help="Delete evaluations, checkpoints, models and datasets.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go. Nothing changes.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking for the name.")]
Delete = Callable[..., "Deletion"]


@app.command()
@plainly
def evaluation(
    evaluation: Annotated[str, typer.Argument(help=options.EVALUATION)],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Delete an evaluation of your team for good. If it is under way, it is cancelled first.

    The command first says what would go, and asks you to type the name of the model. Links that named the
    evaluation then say that it was deleted.

    **Examples**

    `vcpbench delete evaluation my-model@latest --dry-run`

    `vcpbench delete evaluation 0d9c2c0e --yes`
    """
    with connect() as client:
        _delete(client.delete_evaluation, evaluation, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
@plainly
def checkpoint(
    checkpoint: Annotated[str, typer.Argument(help=options.CHECKPOINT)],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Delete a checkpoint of your team for good, with all its evaluations.

    Its file goes with the next sweep, unless another checkpoint has the same bytes. Aliases that point at it
    end.

    **Examples**

    `vcpbench delete checkpoint my-model@latest --dry-run --json`

    `vcpbench delete checkpoint 0d9c2c0e --yes`
    """
    with connect() as client:
        _delete(client.delete_checkpoint, checkpoint, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
@plainly
def model(
    model: Annotated[str, typer.Argument(help="Your team's model, or TEAM/MODEL.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Delete a model of your team for good, with all its checkpoints, their evaluations, tags and logs.

    **Examples**

    `vcpbench delete model my-model --dry-run`

    `vcpbench delete model vision/my-model --yes`
    """
    with connect() as client:
        _delete(client.delete_model, model, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
@plainly
def dataset(
    dataset: Annotated[
        str | None,
        typer.Argument(help="The id of a retired dataset. Left out: list the retired datasets."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Delete a retired dataset for good, with all evaluations on it, of every team. The videos stay.

    This needs an administrator's token. A dataset is retired when another one takes its name, or by
    `DELETE /v1/datasets/NAME`.

    **Examples**

    `vcpbench delete dataset`

    `vcpbench delete dataset 7d444840-9dc0-11d1-b245-5ffdce74fad2 --dry-run`
    """
    from vcpbench_client import tables

    with connect() as client:
        if dataset is not None:
            _delete(client.delete_dataset, dataset, dry_run=dry_run, yes=yes, as_json=as_json)
            return
        found = list(client.retired_datasets())
    if as_json:
        print_json(found)
    elif found:
        show(tables.retired(found))
    else:
        say("There are none.")


def _delete(delete: Delete, wanted: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Say what would go, ask for the name, and delete."""
    found = delete(wanted, dry_run=True)
    if not dry_run:
        if not yes:
            _confirm(found)
        # By its id: a name such as MODEL@latest may mean another one by now. A model has only names, and
        # another name than the one that was looked up may mean another model.
        found = delete(wanted if found.kind == "model" else found.id)
    print_json(found) if as_json else show(*_lines(found))


def _confirm(would: Deletion) -> None:
    """Ask for the name of what would go.

    Raises:
        Misconfigured: If nobody can answer, or another name is typed.
    """
    name = would.model or would.name
    if not sys.stdin.isatty():
        raise Misconfigured(f"This deletes the {would.kind} {would.name} for good. To confirm, add --yes.")
    for line in _lines(would):
        say(line)
    if typer.prompt(f"Type {name} to delete", err=True) != name:
        raise Misconfigured("Another name was typed. Nothing was deleted.")


def _lines(found: Deletion) -> list[str]:
    from vcpbench_client import tables

    what = "would go" if found.dry_run else "is deleted"
    lines = [f"The {found.kind} {found.name} ({found.id}) {what}, with:"]
    for title, some in (("", found.goes), ("Others use these, too, so they stay:", found.stays)):
        lines += [title] if title and some else []
        for one in some:
            names = f": {', '.join(one.names)}" if one.names else ""
            size = "" if one.size_bytes is None else f", {tables.megabytes(one.size_bytes)}"
            lines.append(f"{one.count:>8} {one.kind}{names}{size}")
    return lines
