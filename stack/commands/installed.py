"""Where an installation keeps its rows and objects, for commands that work on them directly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stack.home import Home, StackError


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An installation.

    Attributes:
        database_url: Its database.
        home: The folder of a service that runs on this machine; None if variables name the installation.
    """

    database_url: str
    home: Home | None = None

    @property
    def store_url(self) -> str:
        """Its objects.

        Raises:
            SettingsError: If variables name the database, but not all that a service needs.
        """
        if self.home is not None:
            return f"file://{self.home.objects}"
        from records.settings import Settings

        return Settings.load().store_url


def find(home: Path | None) -> Installed:
    """Find the installation of `VCPBENCH_DATABASE_URL`, else the service on this machine.

    Raises:
        StackError: If neither is there.
    """
    from records.settings import database_url
    from stack.engines import Engines

    url = None if home is not None else database_url()
    if url is not None:
        return Installed(database_url=url)
    chosen = Home.chosen(home)
    if chosen.running() is None:
        raise StackError(
            f"No service runs in {chosen.folder}, and VCPBENCH_DATABASE_URL is not set. "
            "Start the service: vcpbench up."
        )
    engines = Engines.in_folder(chosen.engines)
    if not engines.postgres.has_role:
        raise StackError("An older version of vcpbench runs there. Restart: vcpbench down, vcpbench up.")
    return Installed(database_url=engines.database_url, home=chosen)


def names_other_server(here: Home) -> bool:
    """Whether a server is named, by the environment or a login, that is not the one of this home."""
    from vcpbench_client import login

    named, state = login.named(), here.state()
    if named is None:
        return False
    return state is None or not login.same_server(named.url, state.url)


def is_elsewhere(home: Path | None) -> bool:
    """Whether a command without `--home` is for a named server, and for no database that a variable names."""
    from records.settings import database_url

    return home is None and database_url() is None and names_other_server(Home.chosen(None))
