"""Which server, by which token: arguments, else the environment, else what `vcpbench login` keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from vcpbench_client.errors import FileError, Misconfigured

HOW = "Run `vcpbench login`, or set VCPBENCH_URL and VCPBENCH_TOKEN."
# A stack that listens at all addresses (`vcpbench up --host 0.0.0.0`) keeps that address as its own.
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - nothing is bound
PORTS = {"http": 80, "https": 443}  # of addresses without a port


@dataclass(frozen=True)
class Login:
    """A server and a token for it.

    Attributes:
        url: Such as "https://vcpbench.example.org", a path included if it is served under one.
        token: None reads what the installation shows to everyone.

    Raises:
        Misconfigured: If they cannot be an address and a token.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        url, token = self.url.strip().rstrip("/"), (self.token or "").strip() or None
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is none
            good = False
        good = good and url.isprintable() and " " not in url
        if good and parts.username is not None:
            raise Misconfigured("This is no address of a server: a user or a password is in it.")
        if not good or parts.query or parts.fragment:
            raise Misconfigured(f"{url!r} is no address. Write it as https://vcpbench.example.org:8080.")
        if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
            raise Misconfigured("The token holds characters that no token has. Was all of it copied, once?")
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "token", token)


def find(url: str | None = None, token: str | None = None) -> Login:
    """Each from the argument, else `VCPBENCH_URL` and `VCPBENCH_TOKEN`, else what was kept.

    A kept token goes only to the server that it was kept for.

    Raises:
        Misconfigured: If no server is named.
    """
    url = url or _variable("VCPBENCH_URL", lambda value: Login(value))
    token = token or _variable("VCPBENCH_TOKEN", lambda value: Login("http://any", value))
    if url and token:
        return Login(url, token)
    kept = load()
    if not url and kept is None:
        raise Misconfigured(f"No server is named. {HOW}")
    if not url and kept is not None:
        return Login(kept.url, token or kept.token)
    found = Login(url or "", token)
    return kept if kept is not None and token is None and kept.url == found.url else found


def named() -> Login | None:
    """As `find`; None if no server is named."""
    return find() if os.environ.get("VCPBENCH_URL") or load() is not None else None


def same_server(one: str, other: str) -> bool:
    """Whether two addresses lead to one server. The names of this machine count as one.

    >>> same_server("http://localhost:8080", "http://127.0.0.1:8080")
    True
    >>> same_server("http://0.0.0.0:80", "http://localhost")
    True
    >>> same_server("http://localhost:8080", "http://127.0.0.1:8081")
    False
    """
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(url.rstrip("/"))
    host = "localhost" if parts.hostname in THIS_MACHINE else parts.hostname
    return parts.scheme, host or "", parts.port or PORTS.get(parts.scheme), parts.path


def _variable(name: str, check: Callable[[str], object]) -> str | None:
    """What the environment says; an error names the variable."""
    value = os.environ.get(name)
    if value:
        try:
            check(value)
        except Misconfigured as error:
            raise Misconfigured(f"{name}: {error}") from None
    return value or None


def path() -> Path:
    """Where a login is kept: in the user's configuration folder."""
    if os.name == "nt":
        folder = os.environ.get("APPDATA")
        return (Path(folder) if folder else Path.home()) / "vcpbench" / "login.json"
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "vcpbench" / "login.json"


def load() -> Login | None:
    """What was kept, if anything was.

    Raises:
        FileError: If the file cannot be read.
    """
    try:
        content = json.loads(path().read_text(encoding="utf-8"))
        return Login(content["url"], content["token"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, Misconfigured) as error:
        raise FileError(f"{path()} cannot be read ({error}). Write it anew: vcpbench login.") from None


def keep(login: Login) -> Path:
    """Write it for the user alone; whole or not at all.

    Raises:
        FileError: If it cannot be written.
    """
    target = path()
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            part.unlink()
        # 0600 from the first byte on: the file never exists readable by others.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"url": login.url, "token": login.token}, file)
        part.replace(target)
    except OSError as error:
        raise FileError(f"{target} cannot be written: {error.strerror}.") from error
    return target
