"""`vcpbench token`: make, list and revoke API tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

if TYPE_CHECKING:
    from vcpbench_client.tokens import Token

app = typer.Typer(help="Make, list and revoke API tokens.", no_args_is_help=True)
UNITS = {"d": 1, "w": 7}  # days


def days(text: str) -> int:
    """Read a span such as 90d or 12w, as days.

    >>> days("90d"), days("2w")
    (90, 14)
    """
    found = re.fullmatch(r"([1-9]\d{0,3})([dw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of days or weeks. Write 90d or 12w.")
    return int(found[1]) * UNITS[found[2]]


NameArgument = Annotated[str, typer.Argument(help="Name of the token: its user or its purpose.")]
TokenArgument = Annotated[
    str, typer.Argument(help="The token's id, or a name: all live tokens of this name are revoked.")
]
RoleOption = Annotated[
    Literal["reader", "submitter", "admin"],
    typer.Option(help="What its bearer may do, at most your own role."),
]
ExpiresOption = Annotated[
    int | None,
    typer.Option(
        parser=days,
        metavar="SPAN",
        help="When it expires: 90d or 12w. Left out, as late as the server allows.",
    ),
]
OwnerOption = Annotated[
    str | None,
    typer.Option(help="Who answers for it. Only an administrator names somebody else."),
]
TeamOption = Annotated[str | None, typer.Option(help="Another team, for an administrator.")]


@app.command("create")
@plainly
def create_token(
    name: NameArgument,
    role: RoleOption = "submitter",
    expires: ExpiresOption = None,
    team: TeamOption = None,
    owner: OwnerOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Make a token and print it. It is shown only once.

    **Examples**

    `vcpbench token create ci --expires 90d`

    `vcpbench token create dashboard --role reader`
    """
    with connect() as client:
        found = client.create_token(name, role=role, expires_days=expires, team=team, owner=owner)
    show_made(found, as_json=as_json)


@app.command("list")
@plainly
def list_tokens(team: TeamOption = None, as_json: options.JsonFlag = False) -> None:
    """List your team's tokens without their secrets, also those that open nothing any more.

    **Example**

    `vcpbench token list`
    """
    with connect() as client:
        found = list(client.tokens(team=team))
    show_listed(found, as_json=as_json)


@app.command("revoke")
@plainly
def revoke_token(token: TokenArgument, team: TeamOption = None, as_json: options.JsonFlag = False) -> None:
    """Revoke a token. The server then refuses it.

    **Example**

    `vcpbench token revoke ci`
    """
    with connect() as client:
        chosen = named(client.tokens(team=team), token)
        found = [client.revoke_token(one.id) for one in chosen]
    show_revoked(found, as_json=as_json)


def named(found: Iterable[Token], wanted: str) -> list[Token]:
    """Choose the token of an id, else the live tokens of a name.

    Raises:
        BadParameter: If there is none.
    """
    chosen = [one for one in found if one.id == wanted or (one.name == wanted and one.state == "live")]
    if not chosen:
        raise typer.BadParameter(f"No live token has the name or the id {wanted!r}. See: vcpbench token list")
    return chosen


def show_made(found: Token, *, as_json: bool) -> None:
    """Print a new token: its secret on standard output, and the rest on standard error."""
    if as_json:
        print_json(found)
        return
    until = f"until {found.expires_at.astimezone():%Y-%m-%d %H:%M}" if found.expires_at else "without an end"
    say(f"Token {found.name!r} of team {found.team!r}, role {found.role}, valid {until}.")
    say("Keep it: it is not shown again.")
    show(found.token)


def show_listed(found: Sequence[Token], *, as_json: bool) -> None:
    """Print tokens."""
    from vcpbench_client import tables

    if as_json:
        print_json(found)
    elif found:
        show(tables.tokens(found))
    else:
        say("There are none. Make one: vcpbench token create NAME")


def show_revoked(found: Sequence[Token], *, as_json: bool) -> None:
    """Print which tokens were revoked."""
    if as_json:
        print_json(found)
        return
    for one in found:
        show(f"{one.name} ({one.id}) is revoked")
