"""`vcpbench serve`, `worker`, `migrate`, `token`: one part each of an installation on several machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from stack.commands import installed, options
from stack.commands.common import console, messages, plainly, print_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

tokens = typer.Typer(help="Make, list and revoke API tokens.", no_args_is_help=True)


def serve() -> None:
    """Serve the API until a signal says to stop. The settings come from `VCPBENCH_...` variables.

    **Example**

    `VCPBENCH_PORT=8080 vcpbench serve`
    """
    from service.__main__ import main

    raise typer.Exit(main())


def worker() -> None:
    """Do jobs until a signal says to stop.

    `VCPBENCH_QUEUES` names the queues to take jobs from, and `VCPBENCH_DEVICE` the device to run them on.

    **Example**

    `VCPBENCH_QUEUES=gpu VCPBENCH_DEVICE=cuda:0 vcpbench worker`
    """
    from worker.app import main

    raise typer.Exit(main())


def migrate() -> None:
    """Bring the database to the newest schema.

    **Example**

    `VCPBENCH_DATABASE_URL=postgresql://user:password@host:5432/vcpbench vcpbench migrate`
    """
    from records.migrate import main

    raise typer.Exit(main())


@tokens.command("create")
@plainly
def create(
    name: Annotated[str, typer.Argument(help="Name of the token: its user or its purpose.")],
    team: Annotated[str, typer.Option(help="Team that the token's uploads belong to.")] = "default",
    admin: Annotated[bool, typer.Option("--admin", help="Let the token register datasets, too.")] = False,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Make a token and print it. It is shown only once.

    **Example**

    `vcpbench token create ci --team vision`
    """
    from records.repositories import tokens as repository

    with _session(home) as session:
        _, secret = repository.create(session, name=name, team=team, admin=admin)
    if as_json:
        print_json(json.dumps({"name": name, "team": team, "admin": admin, "token": secret}))
    else:
        messages.print(f"Token {name!r} of team {team!r}. Keep it: it is not shown again.")
        console.print(secret, highlight=False, soft_wrap=True)


@tokens.command("list")
@plainly
def every(home: options.HomeOption = None, as_json: options.JsonFlag = False) -> None:
    """List all tokens, without their secrets.

    **Example**

    `vcpbench token list --json`
    """
    from records.repositories import tokens as repository

    with _session(home) as session:
        found = repository.every(session)
    if as_json:
        facts = [
            {
                "name": token.name,
                "team": token.team,
                "admin": token.admin,
                "created_at": token.created_at.isoformat(),
                "last_used_at": token.last_used_at and token.last_used_at.isoformat(),
                "revoked": token.revoked_at is not None,
            }
            for token in found
        ]
        print_json(json.dumps(facts))
        return
    table = Table("name", "team", "admin", "made", "last used", "revoked", box=None, header_style="dim")
    for token in found:
        used = f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never"
        admin, revoked = "yes" if token.admin else "", "yes" if token.revoked_at else ""
        table.add_row(token.name, token.team, admin, f"{token.created_at:%Y-%m-%d}", used, revoked)
    console.print(table)


@tokens.command("revoke")
@plainly
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the token. All tokens of this name are revoked.")],
    home: options.HomeOption = None,
) -> None:
    """Revoke a token. The server then refuses it.

    **Example**

    `vcpbench token revoke ci`
    """
    from records.repositories import tokens as repository
    from vcp_core.catalog.errors import UnknownName

    with _session(home) as session:
        revoked = repository.revoke(session, name)
        known = {token.name for token in repository.every(session) if token.revoked_at is None}
    if not revoked:
        raise UnknownName("token", name, known)
    messages.print(f"Revoked {revoked} token{'s' if revoked > 1 else ''} named {name!r}.")


@contextmanager
def _session(home: Path | None) -> Iterator[Session]:
    """Open a session on the database of `VCPBENCH_DATABASE_URL`, else of the service on this machine."""
    from records import migrate
    from records.db import Database

    database = Database(installed.find(home).database_url)
    try:
        migrate.check(database)
        with database.session() as session:
            yield session
    finally:
        database.dispose()
