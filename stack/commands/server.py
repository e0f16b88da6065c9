"""`vcpbench serve`, `worker`, `migrate`, `token`: one part each of an installation on several machines."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from vcpbench_client.commands import tokens as by_api
from vcpbench_client.commands.tokens import (
    ExpiresOption,
    NameArgument,
    OwnerOption,
    RoleOption,
    TeamOption,
    TokenArgument,
)

from stack.commands import installed, options
from stack.commands.common import plainly

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from vcpbench_client.tokens import Token

    from records.models import Token as TokenRow

tokens = typer.Typer(help="Make, list and revoke API tokens.", no_args_is_help=True)
TEAM = "default"


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
def create_token(
    name: NameArgument,
    role: RoleOption = "submitter",
    expires: ExpiresOption = None,
    team: TeamOption = None,
    owner: OwnerOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Make a token and print it. It is shown only once.

    The command works on the database of `VCPBENCH_DATABASE_URL` or of the service on this machine. There the
    team is "default", if you name none. If neither is there, the command asks the server of `vcpbench login`.

    **Examples**

    `vcpbench token create ci --team vision --expires 90d`

    `vcpbench token create dashboard --team vision --role reader`

    `vcpbench token create ops --role admin`
    """
    if installed.is_elsewhere(home):
        by_api.create_token(name, role=role, expires=expires, team=team, owner=owner, as_json=as_json)
        return
    from records.models import Role
    from records.repositories import tokens as repository

    with _session(home) as session:
        row, secret = repository.create(
            session, name=name, team=team or TEAM, role=Role(role), owner=owner, days=expires
        )
        session.flush()
        _note(session, row, "create")
        made = _as_client(row, "live", secret)
    by_api.show_made(made, as_json=as_json)


@tokens.command("list")
@plainly
def list_tokens(
    team: TeamOption = None, home: options.HomeOption = None, as_json: options.JsonFlag = False
) -> None:
    """List tokens without their secrets: those of an installation, or by a login those of your team.

    **Example**

    `vcpbench token list --json`
    """
    if installed.is_elsewhere(home):
        by_api.list_tokens(team=team, as_json=as_json)
        return
    with _session(home) as session:
        found = _every(session, team)
    by_api.show_listed(found, as_json=as_json)


@tokens.command("revoke")
@plainly
def revoke_token(
    token: TokenArgument,
    team: TeamOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Revoke a token. The server then refuses it.

    **Example**

    `vcpbench token revoke ci`
    """
    if installed.is_elsewhere(home):
        by_api.revoke_token(token, team=team, as_json=as_json)
        return
    from records.repositories import tokens as repository

    with _session(home) as session:
        chosen = {one.id for one in by_api.named(_every(session, team), token)}
        rows = [row for row in repository.every(session, team) if str(row.id) in chosen]
        for row in rows:
            repository.revoke(session, row)
            _note(session, row, "revoke")
        found = [_as_client(row, "revoked") for row in rows]
    by_api.show_revoked(found, as_json=as_json)


def _note(session: Session, row: TokenRow, what: str) -> None:
    """Write into the audit log that somebody on this machine did something with a token."""
    from records.repositories import audit

    audit.add(
        session,
        team=row.team,
        by="operator",
        by_admin=True,
        action=f"vcpbench token {what}",
        subject={"name": row.name, "role": row.role.value, "id": str(row.id)},
        address=socket.gethostname(),
    )


def _every(session: Session, team: str | None) -> list[Token]:
    from records.repositories import tokens as repository

    rows = repository.every(session, team)
    states = repository.states(session, rows)
    return [_as_client(row, states[row.id]) for row in rows]


def _as_client(row: TokenRow, state: str, secret: str | None = None) -> Token:
    """A row as the client would have read it from the API."""
    from vcpbench_client.tokens import Token

    return Token(
        id=str(row.id),
        name=row.name,
        team=row.team,
        role=row.role.value,
        owner=row.owner,
        state=state,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        token=secret,
    )


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
