"""One sweep of an installation: uploads that nobody finished, retention, and objects that no row names.

Workers start one from time to time, and so does `vcpbench admin sweep`. Only one runs at a time.
"""

from __future__ import annotations

from records import orphans, retention
from records.db import Database
from records.orphans import MIN_AGE_S, Freed, Stopped, never
from records.repositories import checkpoints, locks, retained, shards
from records.settings import Retention
from records.storage import Storage

LOCK = "vcpbench.tidy"  # held for a whole sweep; a backup holds it, too, because it copies what rows name
UNFINISHED_S = 7 * 86400.0  # an upload that got no bytes for a week is deleted


def run(
    database: Database,
    storage: Storage,
    limits: Retention,
    *,
    map_version: str,
    min_age_s: float = MIN_AGE_S,
    every_s: float = 0.0,
    dry_run: bool = False,
    stopped: Stopped = never,
) -> dict[str, Freed] | None:
    """Sweep once.

    Args:
        database: Has the rows.
        storage: Has the objects.
        limits: How long and how much is kept of what can be made again.
        map_version: As for `retention.sweep`.
        min_age_s: Younger objects that no row names are left alone.
        every_s: Do nothing if a sweep ended less than so many seconds ago.
        dry_run: Delete nothing.
        stopped: As for `orphans.sweep`.

    Returns:
        What went, or would go, by kind; None if another process sweeps or backs up just now, or
        one swept lately.

    Raises:
        StorageError: If the store is away.
    """
    with database.session() as held:
        if not dry_run and not locks.try_take(held, LOCK):
            return None
        if every_s and retained.swept_within(held, every_s):
            return None
        unfinished = _forget_unfinished(database, dry_run=dry_run)
        found = {"unfinished uploads": Freed(count=unfinished)}
        found |= retention.sweep(
            database, storage, limits, map_version=map_version, dry_run=dry_run, stopped=stopped
        )
        left = orphans.sweep(database, storage, min_age_s=min_age_s, dry_run=dry_run, stopped=stopped)
        found |= {f"{folder} that no row names": freed for folder, freed in left.items()}
        if not dry_run:
            storage.forget_staged(UNFINISHED_S)
            if not stopped():
                retained.note_sweep(held)
    return found


def _forget_unfinished(database: Database, *, dry_run: bool) -> int:
    """Delete uploads without bytes for a week, and shards of plans that never ended. Count the uploads."""
    with database.session() as session:
        planned = [] if dry_run else shards.unplanned(session)
        unfinished = checkpoints.unfinished(session, UNFINISHED_S)
    for evaluation_id in planned:
        with database.session() as session:
            shards.forget_unplanned(session, evaluation_id)
    for checkpoint_id in () if dry_run else unfinished:
        with database.session() as session:
            locks.take(session, checkpoints.upload_lock(checkpoint_id))  # a part may have arrived just now
            checkpoints.forget_unfinished(session, checkpoint_id, UNFINISHED_S)
    return len(unfinished)
