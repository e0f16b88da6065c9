"""The database's schema. `python -m records.migrate` updates it; service and workers only check it.

With `--wait`, the command changes nothing and ends once the schema is the newest.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

import migrations
from records.db import CONNECT_TIMEOUT_S, Database, driver_url
from records.settings import Settings
from vcp_core.catalog.errors import VcpbenchError

LOOK_EVERY_S = 2.0


class SchemaError(VcpbenchError):
    """The database's schema is not the one that this version of vcpbench was written for."""


def config(url: str) -> Config:
    """Return Alembic's configuration for a database."""
    found = Config()
    found.set_main_option("script_location", str(Path(migrations.__file__).parent))
    found.attributes["url"] = driver_url(url)
    return found


@functools.cache
def _steps() -> ScriptDirectory:
    """All steps of the schema; read once, because Alembic imports a module for each."""
    return ScriptDirectory.from_config(config(""))


def upgrade(url: str) -> list[str]:
    """Bring the database to the newest schema, and return the names of the steps made.

    Raises:
        SchemaError: If the database is newer than this code, or cannot be reached.
    """
    before = _current(url)
    script = _steps()
    if before is not None and before not in {step.revision for step in script.walk_revisions()}:
        raise SchemaError(_newer(before))
    steps = [step for step in script.iterate_revisions("head", before or "base") if step.revision != before]
    command.upgrade(config(url), "head")
    return [f"{step.revision}: {step.doc}" for step in reversed(steps)]


def newest() -> str:
    """The newest schema that this version knows."""
    return str(_steps().get_current_head())


def move_to(url: str, revision: str) -> None:
    """Bring a database without data to a schema, newer or older than its own.

    Raises:
        SchemaError: If the schema is newer than this code, or the database cannot be reached.
    """
    script = _steps()
    known = {step.revision for step in script.walk_revisions()}
    before = _current(url)
    for one in (revision, before):
        if one is not None and one not in known:
            raise SchemaError(_newer(one))
    if before != revision:
        if before is not None:
            command.downgrade(config(url), "base")
        command.upgrade(config(url), revision)


def check(database: Database) -> None:
    """Check that the schema is the newest.

    Raises:
        SchemaError: If it is not, or the database cannot be reached. The message says what to do.
    """
    current = _revision(database.engine)
    script = _steps()
    if current == script.get_current_head():
        return
    known = {step.revision for step in script.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaError(_newer(current))
    raise SchemaError(
        f"The database's schema is {current or 'empty'}, and this version needs {script.get_current_head()}. "
        "Run `vcpbench migrate`."
    )


def _newer(revision: str) -> str:
    return f"The database's schema ({revision}) is newer than this version of vcpbench. Update vcpbench."


def _current(url: str) -> str | None:
    engine = create_engine(driver_url(url), connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        return _revision(engine)
    finally:
        engine.dispose()


def _revision(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        first = str(error.orig).strip().splitlines()[0]
        raise SchemaError(f"The database cannot be reached: {first}") from error


def wait(url: str) -> None:
    """Wait until the schema is the newest. Each reason to wait is printed once."""
    database, said = Database(url), ""
    try:
        while why := _why_not(database):
            if why != said:
                said = why
                sys.stderr.write(f"{why} Waiting.\n")
            time.sleep(LOOK_EVERY_S)
    finally:
        database.dispose()


def _why_not(database: Database) -> str:
    """Why the schema is not the newest; empty if it is."""
    try:
        check(database)
    except SchemaError as error:
        return str(error)
    return ""


def main() -> int:
    """Upgrade the database that the settings name, and print the steps."""
    try:
        url = Settings.load().database_url.get_secret_value()
        if sys.argv[1:] == ["--wait"]:
            wait(url)
            return 0
        steps = upgrade(url)
    except VcpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join([*steps, "The schema is up to date."]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
