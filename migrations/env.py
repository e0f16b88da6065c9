"""Run the migrations on one database, in one transaction. Alembic executes this file."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

import records.models  # noqa: F401  (its tables are the target)
from records.db import Base


def run() -> None:
    """Run all steps or none: PostgreSQL's schema changes are transactional."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            # Two that migrate at once: the second waits, and finds nothing left to do.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('vcpbench.migrate'))")
            context.run_migrations()


run()
