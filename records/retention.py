"""Retention: what can be made again is kept for so many days since its last use, or as long as there is room.

Features, previews, maps by older versions of the method, and controls that no evaluation needs any more are
swept, those that were used longest ago first. What an evaluation that has not ended needs is held. The names
of objects leave the rows first. The objects follow after the commit, and if the process is killed in between,
`records.orphans` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID

from sqlalchemy.orm import Session

from records import deletion, flow, orphans
from records.db import Database
from records.orphans import Freed, Stopped, never, pieces
from records.repositories import objects, retained
from records.repositories.deletions import Doomed
from records.repositories.retained import Candidate, Candidates
from records.settings import Retention
from records.storage import Storage, media_key

GIB = 1 << 30
BY = "retention"  # in place of the name of a token
AT_ONCE = 200  # rows in one transaction, which holds the flow's lock


def sweep(
    database: Database,
    storage: Storage,
    limits: Retention,
    *,
    map_version: str,
    dry_run: bool = False,
    stopped: Stopped = never,
) -> dict[str, Freed]:
    """Delete what was not used for too long, or has no room.

    Args:
        database: Has the rows.
        storage: Has the objects.
        limits: How long and how much is kept.
        map_version: The version of maps now (`vcp_core.scoring.maps.MAP_VERSION`).
        dry_run: Delete nothing.
        stopped: As for `orphans.sweep`.

    Returns:
        What went, or would go, by kind.

    Raises:
        StorageError: If the store is away.
    """
    by_folder = {kind.folder: kind for kind in objects.KINDS}

    def forget_features(session: Session, ids: list[UUID]) -> Callable[[], object]:
        keys = retained.forget_features(session, ids)
        return lambda: orphans.delete(database, storage, by_folder["features"], objects.with_facts(keys))

    def forget_previews(session: Session, ids: list[UUID]) -> Callable[[], object]:
        keys = [media_key(sha256) for sha256 in retained.forget_previews(session, ids)]
        return lambda: orphans.delete(database, storage, by_folder["media"], keys)

    def maps(session: Session, limits: Retention) -> Iterator[Candidate]:
        return _too_much(retained.old_maps(session, limits.features_days, version=map_version))

    kinds = {
        "features": (features_to_go, forget_features),
        "previews": (previews_to_go, forget_previews),
        "maps of older versions": (maps, _forget_maps),
        "controls that nothing needs": (_controls_to_go, _forget_controls),
    }
    found = {}
    for name, (choose, forget) in kinds.items():
        with database.session() as session:
            chosen = list(choose(session, limits))
        found[name] = Freed(count=len(chosen), size_bytes=sum(one.size_bytes for one in chosen))
        for some in () if dry_run else pieces(chosen, AT_ONCE, stopped):
            with database.session() as session:
                flow.lock(session)
                delete_objects = forget(session, [one.id for one in some])
            delete_objects()
    if not dry_run:
        with database.session() as session:
            flow.lock(session)
            retained.forget_control_weights(session)
    return found


def features_to_go(session: Session, limits: Retention) -> Iterator[Candidate]:
    """The shards whose features the next sweep deletes."""
    over = retained.features_bytes(session) - limits.features_gib * GIB if limits.features_gib else 0
    return _too_much(retained.features(session, limits.features_days), over)


def previews_to_go(session: Session, limits: Retention) -> Iterator[Candidate]:
    """The groups of previews that the next sweep deletes."""
    over = retained.previews_bytes(session) - limits.media_gib * GIB if limits.media_gib else 0
    return _too_much(retained.previews(session, limits.media_days), over)


def _controls_to_go(session: Session, limits: Retention) -> Iterator[Candidate]:
    return _too_much(retained.unneeded_controls(session, limits.features_days))


def _too_much(candidates: Candidates, over_bytes: float = 0) -> Iterator[Candidate]:
    """Those that are too old, and of the others the first ones, until so many bytes are freed."""
    with closing(candidates):
        for one in candidates:
            if not one.is_old and over_bytes <= 0:
                return
            over_bytes -= one.size_bytes
            yield one


def _forget_maps(session: Session, ids: list[UUID]) -> Callable[[], object]:
    retained.forget_maps(session, ids)
    return _nothing


def _forget_controls(session: Session, ids: list[UUID]) -> Callable[[], object]:
    """Delete controls. Their features become orphans."""
    deletion.take(session, Doomed(controls=frozenset(retained.are_unneeded(session, ids))), by=BY)
    return _nothing


def _nothing() -> None:
    """Objects of these are found by the sweep of orphans."""
