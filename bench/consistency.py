"""Whether rows and objects of an installation agree: no orphans in the store, no rows that name nothing."""

from __future__ import annotations

from records import orphans
from records.db import Database
from records.repositories import copies
from records.storage import Storage


def dangling(database: Database, storage: Storage) -> list[str]:
    """Keys that a row names as stored, and that are not in the store. It looks once more at what is missing.

    Between the two looks, a sweep may have taken the name off the row.
    """
    missing = _missing(database, storage)
    return sorted(missing & _missing(database, storage)) if missing else []


def _missing(database: Database, storage: Storage) -> set[str]:
    with database.session() as session:
        named = {one.key for one in copies.objects(session)}
    return {key for key in named if not storage.exists(key)}


def num_orphans(database: Database, storage: Storage, min_age_s: float = 0.0) -> int:
    """Number of objects that no row names."""
    found = orphans.sweep(database, storage, min_age_s=min_age_s, dry_run=True)
    return sum(freed.count for freed in found.values())
