"""`vcpbench rename`, `tag`, `private`, `public`, `alias`: names that people give, and who sees a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

if TYPE_CHECKING:
    from vcpbench_client.naming import Named

tag_app = typer.Typer(help="Add tags to models, and remove them.", no_args_is_help=True)
alias_app = typer.Typer(help="Point words such as @champion at checkpoints.", no_args_is_help=True)

ModelArgument = Annotated[
    str, typer.Argument(help="Your team's model, or TEAM/MODEL.", autocompletion=options.complete_model)
]
TagsArgument = Annotated[list[str], typer.Argument(metavar="TAG...", help="Lower-case words.")]
AliasArgument = Annotated[str, typer.Argument(help="The alias, with or without its @.")]
OtherTeam = Annotated[str | None, typer.Option(help="The team that it belongs to. Default: your own.")]


@plainly
def rename(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Give a model another name. The old name still leads to it, and no other model can take it.

    To undo this, rename the model back.

    **Example**

    `vcpbench rename r3d-vcp r3d-cloze`
    """
    with connect() as client:
        found = client.rename(model, name)
    _tell(found, as_json=as_json)


@plainly
def private(model: ModelArgument, as_json: options.JsonFlag = False) -> None:
    """Make a model private: only its team and administrators see it, and all that belongs to it.

    For all others, the model does not exist. Links that the team made still open their pages.

    **Example**

    `vcpbench private r3d-vcp`
    """
    with connect() as client:
        found = client.set_private(model)
    _tell(found, as_json=as_json)


@plainly
def public(model: ModelArgument, as_json: options.JsonFlag = False) -> None:
    """Make a private model public: all who may read the server see it, and its evaluations.

    **Example**

    `vcpbench public r3d-vcp`
    """
    with connect() as client:
        found = client.set_private(model, False)
    _tell(found, as_json=as_json)


@tag_app.command("add")
@plainly
def add_tags(model: ModelArgument, tags: TagsArgument, as_json: options.JsonFlag = False) -> None:
    """Add tags to a model.

    **Example**

    `vcpbench tag add r3d-vcp production kinetics`
    """
    with connect() as client:
        found = client.tag(model, add=tags)
    _tell(found, as_json=as_json)


@tag_app.command("remove")
@plainly
def remove_tags(model: ModelArgument, tags: TagsArgument, as_json: options.JsonFlag = False) -> None:
    """Remove tags from a model.

    **Example**

    `vcpbench tag remove r3d-vcp production`
    """
    with connect() as client:
        found = client.tag(model, remove=tags)
    _tell(found, as_json=as_json)


@alias_app.command("set")
@plainly
def set_alias(
    name: AliasArgument,
    checkpoint: Annotated[str, typer.Argument(help=options.CHECKPOINT)],
    as_json: options.JsonFlag = False,
) -> None:
    """Point an alias of your team at a checkpoint. `@NAME` then names it wherever its id does.

    Where the alias pointed before is kept: `vcpbench alias history NAME`.

    **Examples**

    `vcpbench alias set champion my-model@latest`

    `vcpbench gate model.pt -m my-model --against @champion --max-drop recognition.top1=2`
    """
    with connect() as client:
        found = client.set_alias(name, checkpoint)
    if as_json:
        print_json(found)
        return
    step = "" if found.step is None else f" at step {found.step}"
    show(f"@{found.name} of team {found.team}: {found.model}{step}, checkpoint {found.checkpoint}")


@alias_app.command("list")
@plainly
def list_aliases(
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """List aliases, and the checkpoints at which they point.

    **Example**

    `vcpbench alias list --team vision`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = list(client.aliases(team=team))
    if as_json:
        print_json(found)
    elif found:
        show(tables.aliases(found))
    else:
        say("There are none. Make one: vcpbench alias set champion MODEL@latest")


@alias_app.command("history")
@plainly
def alias_history(name: AliasArgument, team: OtherTeam = None, as_json: options.JsonFlag = False) -> None:
    """Show where an alias points and pointed, the newest move first.

    **Example**

    `vcpbench alias history champion`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = client.alias_history(name, team=team)
    print_json(found) if as_json else show(tables.moves(found.moves))


@alias_app.command("remove")
@plainly
def remove_alias(name: AliasArgument, team: OtherTeam = None, as_json: options.JsonFlag = False) -> None:
    """Remove an alias. Its history stays.

    To undo this, point the alias at the checkpoint again. `vcpbench alias history NAME` names the checkpoint.

    **Example**

    `vcpbench alias remove champion`
    """
    with connect() as client:
        client.remove_alias(name, team=team)
    word = name.removeprefix("@")
    print_json({"removed": word}) if as_json else show(f"@{word} is removed")


def _tell(found: Named, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    show(f"{found.team}/{found.name}{', private' if found.private else ''}")
    if found.former_names:
        show(f"former names: {', '.join(found.former_names)}")
    show(f"tags: {', '.join(found.tags) or 'none'}")
