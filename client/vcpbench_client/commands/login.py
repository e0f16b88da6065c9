"""`vcpbench login`: keep a server and a token for all other commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from vcpbench_client.commands.common import connect, plainly, say

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@plainly
def login(
    url: Annotated[str | None, typer.Argument(help="Address of the server; asked for if left out.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="File with the token, `-` for standard input; asked for if left out."
        ),
    ] = None,
) -> None:
    """Keep a server and a token for all other commands, once the server has accepted the token.

    `VCPBENCH_URL` and `VCPBENCH_TOKEN` do the same without a file. They override what `login` keeps.

    **Examples**

    `vcpbench login https://vcpbench.example.org`

    `vcpbench login http://127.0.0.1:8080 --token-file ~/.local/share/vcpbench/stack/token`
    """
    from vcpbench_client import login as kept

    address = url or typer.prompt("Server", err=True)
    found = kept.Login(address, _token(token_file))
    if urlsplit(found.url).scheme == "http" and urlsplit(found.url).hostname not in LOOPBACK:
        say(
            "This address is http: everyone on the network path can read the token. Use https.",
            style="yellow",
        )
    with connect(url=found.url, token=found.token) as client:
        who, status = client.identity(), client.status()
    where = kept.keep(found)
    role = f", role {who.role}" if who.role else ""
    say(
        f"Logged in to {found.url} as {who.name} of team {who.team}{role} "
        f"(workers there: {len(status.workers)}); kept in {where}."
    )
    if who.expires_at is not None:
        say(f"The token expires on {who.expires_at.astimezone():%Y-%m-%d at %H:%M}.")


def _token(file: Path | None) -> str:
    from vcpbench_client.errors import FileError, Misconfigured

    if file is None:
        text = str(typer.prompt("Token", hide_input=True, err=True))
    elif file == Path("-"):
        text = sys.stdin.read()
    else:
        try:
            text = file.expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{file} cannot be read: {error}.") from None
    if not text.strip():
        raise Misconfigured("The token is empty.")
    return text
