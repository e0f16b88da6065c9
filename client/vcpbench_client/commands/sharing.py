"""`vcpbench note`, `share`, `view`: text on evaluations, links that read one page, and saved views."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show
from vcpbench_client.commands.comparing import compared
from vcpbench_client.defaults import LINK_DAYS

if TYPE_CHECKING:
    from vcpbench_client.sharing import Note

note_app = typer.Typer(help="Write notes on evaluations.", no_args_is_help=True)
share_app = typer.Typer(help="Make links that read one page without a token.", no_args_is_help=True)
view_app = typer.Typer(help="Save the addresses of pages for your team.", no_args_is_help=True)

EvaluationArgument = Annotated[str, typer.Argument(help=options.EVALUATION)]
TextArgument = Annotated[str, typer.Argument(help="What the note says. `-` reads standard input.")]
NoteArgument = Annotated[str, typer.Argument(help="The note's id; `vcpbench note list` shows it.")]


@note_app.command("add")
@plainly
def add_note(evaluation: EvaluationArgument, text: TextArgument, as_json: options.JsonFlag = False) -> None:
    """Write a note on an evaluation of your team. Everybody who may read the evaluation may read it.

    **Examples**

    `vcpbench note add my-model@latest "The learning rate was too high."`

    `git log -1 | vcpbench note add my-model@latest -`
    """
    with connect() as client:
        found = client.write_note(evaluation, _text(text))
    print_json(found) if as_json else _show(found)


@note_app.command("list")
@plainly
def list_notes(evaluation: EvaluationArgument, as_json: options.JsonFlag = False) -> None:
    """Show the notes on an evaluation, the oldest first.

    **Example**

    `vcpbench note list my-model@latest`
    """
    with connect() as client:
        found = client.notes(evaluation)
    if as_json:
        print_json(found)
        return
    for note in found:
        _show(note)
    if not found:
        say("There are none.")


@note_app.command("change")
@plainly
def change_note(note: NoteArgument, text: TextArgument, as_json: options.JsonFlag = False) -> None:
    """Write a note of your team anew. The note says who changed it and when.

    **Example**

    `vcpbench note change 7d444840-9dc0-11d1-b245-5ffdce74fad2 "The learning rate was 0.1."`
    """
    with connect() as client:
        found = client.change_note(note, _text(text))
    print_json(found) if as_json else _show(found)


@note_app.command("remove")
@plainly
def remove_note(note: NoteArgument, as_json: options.JsonFlag = False) -> None:
    """Delete a note of your team, and print it. Only writing it again brings it back.

    **Example**

    `vcpbench note remove 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.delete_note(note)
    if as_json:
        print_json(found)
        return
    say("This note is deleted:")
    _show(found)


@share_app.command("create")
@plainly
def create_share(
    evaluation: EvaluationArgument,
    against: Annotated[
        str | None, typer.Option(help="Share the comparison with this evaluation instead.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=365, help="When the link expires: in so many days.")
    ] = LINK_DAYS,
    as_json: options.JsonFlag = False,
) -> None:
    """Make a link that reads one page without a token, and nothing else. The link is printed once.

    **Examples**

    `vcpbench share create my-model@latest --days 30`

    `vcpbench share create my-model@latest --against @champion`
    """
    with connect() as client:
        if against is not None:
            # `Client.share` waits for the comparison, too, but shows no progress.
            ready = compared(client, against, evaluation, quiet=as_json)
            evaluation, against = ready.second.id, ready.first.id
        found = client.share(evaluation, against=against, days=days)
    if as_json:
        print_json(found)
        return
    show(found.url)
    say(f"It opens until {found.expires_at.astimezone():%Y-%m-%d %H:%M}.")
    say(f"Revoke it: vcpbench share revoke {found.id}")


@share_app.command("list")
@plainly
def list_shares(as_json: options.JsonFlag = False) -> None:
    """List your team's links, the newest first, also those that open nothing any more.

    **Example**

    `vcpbench share list`
    """
    from vcpbench_client import tables

    with connect() as client:
        found = list(client.shares())
    if as_json:
        print_json(found)
    elif found:
        show(tables.shares(found))
    else:
        say("There are none.")


@share_app.command("revoke")
@plainly
def revoke_share(
    share: Annotated[str, typer.Argument(help="The link's id; `vcpbench share list` shows it.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Revoke a link of your team. It opens nothing from then on.

    **Example**

    `vcpbench share revoke 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.revoke(share)
    print_json(found) if as_json else show(f"{found.id} is {found.state}")


@view_app.command("list")
@plainly
def list_views(as_json: options.JsonFlag = False) -> None:
    """List the views that your team saved, by page and name.

    **Example**

    `vcpbench view list`
    """
    from vcpbench_client import tables

    with connect() as client:
        found, url = client.views(), client.url
    if as_json:
        print_json(found)
    elif found:
        show(tables.views(found, url))
    else:
        say("There are none. Save one: vcpbench view save NAME ADDRESS")


@view_app.command("save")
@plainly
def save_view(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    address: Annotated[
        str,
        typer.Argument(
            help="The page's path and query: `/?...` (board), `/models?...` or `/compare?...`. Or the whole "
            "address, as a browser shows it."
        ),
    ],
    as_json: options.JsonFlag = False,
) -> None:
    """Give the address of a page a name for your team. The page then lists the view.

    **Example**

    `vcpbench view save "our runs" "/?dataset=ucf101&team=vision&latest=true"`
    """
    with connect() as client:
        found = client.save_view(name, address.removeprefix(client.url))
        url = client.url
    if as_json:
        print_json(found)
        return
    show(f"{found.name}: {url}{found.address}")
    say(f"Remove it: vcpbench view remove {found.id}")


@view_app.command("remove")
@plainly
def remove_view(
    view: Annotated[str, typer.Argument(help="The view's id; `vcpbench view list` shows it.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Delete a view of your team, and print it. To undo this, save it again.

    **Example**

    `vcpbench view remove 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.delete_view(view)
    if as_json:
        print_json(found)
        return
    show(f"{found.name} is removed")
    again = shlex.join(["vcpbench", "view", "save", found.name, found.address])
    say(f"Save it again: {again}")


def _text(given: str) -> str:
    return sys.stdin.read() if given == "-" else given


def _show(note: Note) -> None:
    changed = "" if note.edited_at is None else f", changed {note.edited_at.astimezone():%Y-%m-%d %H:%M}"
    whose = note.by or f"team {note.team}"
    show(f"{note.id}  {whose}, {note.created_at.astimezone():%Y-%m-%d %H:%M}{changed}")
    show(*(f"    {line}" for line in note.text.splitlines()))
