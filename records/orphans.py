"""Delete objects of the store that no row names.

Rows go first: a deletion, retention or a lost upload takes the names off the rows and commits. The objects
are then orphans. This sweep finds them by a list of the store, so a process that is killed at any moment
leaves nothing that the next sweep does not find. `records.repositories.objects` says why a named object is
never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from records.db import Database
from records.repositories import objects
from records.repositories.objects import KINDS, Kind
from records.storage import Storage

T = TypeVar("T")
Stopped = Callable[[], bool]
MIN_AGE_S = 3600.0  # an upload in one go and a worker of an older version store an object before they name it
LISTED_AT_ONCE = 1000
DELETED_AT_ONCE = 20  # names wait meanwhile; a store far away takes 50 ms for an object


def never() -> bool:
    """Let a sweep run to its end."""
    return False


@dataclass(frozen=True, kw_only=True)
class Freed:
    """What a sweep deletes, or would delete.

    Attributes:
        count: Number of objects, or of rows.
        size_bytes: Their size.
    """

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        return Freed(count=self.count + other.count, size_bytes=self.size_bytes + other.size_bytes)


def sweep(
    database: Database,
    storage: Storage,
    *,
    min_age_s: float = MIN_AGE_S,
    dry_run: bool = False,
    stopped: Stopped = never,
) -> dict[str, Freed]:
    """Delete the orphans of every folder, and note the sizes of the other objects where they are missing.

    Args:
        database: Has the rows.
        storage: Has the objects.
        min_age_s: Younger objects are left alone.
        dry_run: Change nothing.
        stopped: Asked before each step whether the sweep shall end. The next one goes on where it ended.

    Returns:
        The orphans, by folder.

    Raises:
        StorageError: If the store is away.
    """
    found = {kind.folder: Freed() for kind in KINDS}
    for kind in KINDS:
        for entries in pieces(storage.entries(f"{kind.folder}/"), LISTED_AT_ONCE, stopped):
            sizes = {one.key: one.size_bytes for one in entries}
            old = [one.key for one in entries if one.age_s >= min_age_s]
            with database.session() as session:
                orphans = objects.unnamed(session, kind, old)
                if not dry_run:
                    objects.note_sizes(session, kind, sizes)
            if not dry_run:
                orphans = delete(database, storage, kind, orphans, stopped=stopped)
            freed = Freed(count=len(orphans), size_bytes=sum(sizes[key] for key in orphans))
            found[kind.folder] += freed
    return found


def delete(
    database: Database,
    storage: Storage,
    kind: Kind,
    keys: Iterable[str],
    *,
    stopped: Stopped = never,
) -> list[str]:
    """Delete those of these objects that no row names, a few at a time. Return their keys."""
    deleted: list[str] = []
    for some in pieces(keys, DELETED_AT_ONCE, stopped):
        with database.session() as session:
            objects.about_to_delete(session)
            orphans = objects.unnamed(session, kind, some)
            storage.delete(*orphans)
        deleted += orphans
    return deleted


def pieces(items: Iterable[T], most: int, stopped: Stopped = never) -> Iterator[list[T]]:
    """Cut something long into lists of at most `most` items, until the work is stopped."""
    left = iter(items)
    while not stopped() and (piece := list(islice(left, most))):
        yield piece
