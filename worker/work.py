"""What a task may use: its subject's rows, the store, a child process, and one transaction at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from records import flow
from records.db import Database
from records.repositories import jobs
from records.repositories.jobs import Claim
from records.settings import Settings
from records.storage import Storage
from vcp_core.catalog.errors import StorageError
from worker.leases import Heartbeat
from worker.runner import Runner

T = TypeVar("T")
RETRY_EVERY_S = 1.0
AWAY_S = 300.0  # then the job is given back: a lease that is renewed all the while would hold it for ever
NO_ROOM = ("53100", "53300")  # SQLSTATE of a full disk, and of too many connections
CACHED_OBJECTS = 16

log = structlog.get_logger("vcpbench.worker")


class LostClaim(Exception):
    """The job is no longer ours: cancelled, or given to another worker after a silence."""


class ObjectCache:
    """The last few objects that jobs have used, where the store is not a folder of this machine.

    Args:
        storage: All objects.
        folder: For copies.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage, self._folder = storage, folder

    def fetch(self, key: str) -> Path:
        """A file with the object's bytes, not to be changed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._storage.fetch(key, self._folder)
        if path.parent == self._folder:
            path.touch()
            kept = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
            for old in kept[:-CACHED_OBJECTS]:
                old.unlink()
        return path


@dataclass(frozen=True, kw_only=True)
class Work:
    """One attempt at one job.

    Attributes:
        claim: Which job.
        storage: All objects.
        folder: A temporary folder of this attempt.
        settings: Device of networks, size of shards.
    """

    claim: Claim
    storage: Storage
    folder: Path
    settings: Settings
    _database: Database
    _runner: Runner
    _object_cache: ObjectCache
    _heartbeat: Heartbeat

    @property
    def subject_id(self) -> UUID:
        """What the job is about."""
        return self.claim.subject_id

    def cached(self, key: str) -> Path:
        """A file of an object that the next jobs will want, too."""
        return self._object_cache.fetch(key)

    def read(self, query: Callable[[Session], T]) -> T:
        """What a short transaction gives; tried again while the database is away.

        Raises:
            StorageError: If it stays so for `AWAY_S`.
        """
        return self._patiently(query)

    def in_child(self, do: str, *, affinity: str | None, stall_s: float, **arguments: Any) -> dict[str, Any]:
        """Have a function of worker/child.py run; its progress is the job's.

        Raises:
            LostClaim: If the job was taken away meanwhile.
            ChildFailed: If there was no answer.
            VcpbenchError: What the child said of its input.
        """
        self.check()
        return self._runner.call(
            {"do": do, **arguments},
            affinity=affinity,
            stall_s=stall_s,
            on_progress=self._heartbeat.tell,
            check=self.check,  # again: a loss just before the child was there had nothing to kill
        )

    def check(self) -> None:
        """Stop here if the job is somebody else's by now.

        Raises:
            LostClaim: If it is.
        """
        if self._heartbeat.lost:
            raise LostClaim

    def conclude(self, write: Callable[[Session], None]) -> None:
        """End the job, and write what it gave, in one transaction under the flow's lock.

        Args:
            write: Called in it; may be called again if the database was away.

        Raises:
            LostClaim: If the job is no longer ours; nothing is written.
            StorageError: If the database stays away for `AWAY_S`.
        """

        def transaction(session: Session) -> None:
            flow.lock(session)
            if not jobs.finish(session, self.claim):
                raise LostClaim
            write(session)

        self._patiently(transaction)

    def _patiently(self, transaction: Callable[[Session], T]) -> T:
        give_up = time.monotonic() + AWAY_S
        while True:
            try:
                with self._database.session() as session:
                    return transaction(session)
            except DBAPIError as error:
                if self._heartbeat.lost:
                    raise LostClaim from error
                if not is_away(error):
                    raise
                if time.monotonic() > give_up:
                    raise StorageError("the database is full, or was away for too long") from error
                log.warning("database away; trying again", job=str(self.claim.job_id))
                time.sleep(RETRY_EVERY_S)


def is_away(error: DBAPIError) -> bool:
    """Whether the database went away, is not there yet or has no room: not that it refuses what we asked.

    A statement for which it has no memory is no such thing: it would not have it next time.
    """
    return (
        getattr(error.orig, "sqlstate", None) in NO_ROOM
        or error.connection_invalidated
        or type(error.orig).__name__
        in (
            "OperationalError",
            "AdminShutdown",
            "CannotConnectNow",
            "CrashShutdown",
        )
    )
