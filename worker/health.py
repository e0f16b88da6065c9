"""The health check of a worker's container: has a worker of this machine been seen lately?

Every check starts a new process, so this module imports little.
"""

from __future__ import annotations

import platform
import sys

from sqlalchemy.exc import SQLAlchemyError

from records.db import Database
from records.repositories import workers
from records.settings import Settings
from vcp_core.catalog.errors import VcpbenchError


def health() -> int:
    """Return 0 if a worker of this machine was seen within a lease, else 1."""
    try:
        settings = Settings.load()
        database = Database(settings.database_url.get_secret_value())
        with database.session() as session:
            names = [worker.name for worker in workers.seen(session, settings.lease_s)]
    except (VcpbenchError, SQLAlchemyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    here = [name for name in names if name.startswith(f"{platform.node()}:")]
    sys.stdout.write(f"{len(here)} workers of this machine, {len(names)} in all\n")
    return 0 if here else 1
