"""The tools of a task: its subject's rows, the store, a child process, and one transaction at the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from records import flow
from records.db import Database
from records.models import Checkpoint, DatasetRow
from records.repositories import jobs
from records.repositories.jobs import Claim
from records.settings import SECRETS, Settings
from records.storage import Storage
from vcp_core.catalog.datasets import is_built_in
from vcp_core.catalog.errors import StorageError, VcpbenchError
from vcp_core.catalog.paths import cache_dir, data_dir
from worker.leases import Heartbeat
from worker.runner import Foreign, Runner

T = TypeVar("T")
RETRY_EVERY_S = 1.0
AWAY_S = 300.0  # then the job is given back: the lease is renewed meanwhile and would never end
NO_ROOM = ("53100", "53300")  # SQLSTATE of a full disk, and of too many connections
CACHED_OBJECTS = 16

log = structlog.get_logger("vcpbench.worker")


class LostClaim(Exception):
    """This worker lost the job: it was cancelled, or another worker got it after a silence."""


class ObjectCache:
    """Local copies of the objects that jobs used last, for a store that is not a local folder.

    Args:
        storage: Holds all objects.
        folder: Holds the copies.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage, self._folder = storage, folder
        self._checked: dict[str, tuple[str, tuple[int, ...]]] = {}  # by key: a hash, and the file that had it

    def fetch(self, key: str, *, sha256: str | None) -> Path:
        """Return a file with the object's bytes; as `Storage.fetch`.

        A file is read for its hash once, and again only after it was written: weights are needed for each
        shard, and have hundreds of megabytes.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._storage.fetch(key, self._folder)
        if sha256 is not None and self._checked.get(key) != (sha256, _identity(path)):
            path = self._storage.fetch(key, self._folder, sha256=sha256)
            self._checked.pop(key, None)
            self._checked[key] = sha256, _identity(path)
            for old_key in [*self._checked][:-CACHED_OBJECTS]:
                del self._checked[old_key]
        if path.parent == self._folder:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # read now, and not written
            kept = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_atime)
            for old in kept[:-CACHED_OBJECTS]:
                old.unlink()
        return path


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, kw_only=True)
class Work:
    """One attempt at one job.

    Attributes:
        claim: The claim of this attempt.
        storage: Holds all objects.
        folder: A temporary folder of this attempt.
        settings: Names the device of networks and the size of shards.
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
        """Id of the row that the job is about."""
        return self.claim.subject_id

    def cached(self, key: str, *, sha256: str | None) -> Path:
        """Return a file of an object that the next jobs will need, too; as `Storage.fetch`."""
        return self._object_cache.fetch(key, sha256=sha256)

    def to_file(self, name: str, content: Any) -> str:
        """Write a value as JSON into the folder of the job, for its child. Return the path."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def read(self, query: Callable[[Session], T]) -> T:
        """Run a query in a short transaction. Try again while the database is away.

        Raises:
            StorageError: If the database is away for `AWAY_S`.
        """
        return self._patiently(query)

    def in_child(
        self,
        do: str,
        *,
        stall_s: float,
        decodes: DatasetRow | None = None,
        runs: Checkpoint | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Run a function of worker/child.py. Its progress becomes the job's progress.

        Args:
            do: Name of the function.
            stall_s: As for `Runner.call`.
            decodes: The dataset whose videos it decodes. If they are foreign, the child stands behind walls.
            runs: The checkpoint whose network it runs. A graph is a foreign program. Its child stands behind
                walls, whoever made the videos.
            arguments: Arguments of the function; a `Path` and an `Out` as for `Runner.call`.

        Raises:
            LostClaim: If the job was taken away meanwhile.
            ChildFailed: If the child gave no answer.
            VcpbenchError: If the child refused its input; the error is the child's own.
        """
        self.check()
        return self._runner.call(
            {"do": do, **arguments},
            stall_s=stall_s,
            on_progress=self._heartbeat.tell,
            check=self.check,  # a loss before the child started found no child to kill
            foreign=None if decodes is None else _foreign(decodes, runs, self.settings),
        )

    def check(self) -> None:
        """Stop if this worker lost the job.

        Raises:
            LostClaim: If it did.
        """
        if self._heartbeat.lost:
            raise LostClaim

    def prepare(self, write: Callable[[Session], None]) -> None:
        """Write rows that count only once `conclude` has ended the job. This does not take the flow's lock.

        Raises:
            LostClaim: If this worker lost the job. Nothing is written.
            StorageError: If the database stays away for `AWAY_S`.
        """
        self._write(write, jobs.keep, locked=False)

    def change(self, write: Callable[[Session], None]) -> None:
        """Change states of other things under the flow's lock. This job goes on.

        Raises:
            LostClaim: If this worker lost the job. Nothing is written.
            StorageError: If the database stays away for `AWAY_S`.
        """
        self._write(write, jobs.keep, locked=True)

    def postpone(self, write: Callable[[Session], None], reason: VcpbenchError, *, pause_s: float) -> None:
        """Give the job back until later, and change states of other things, as `change`.

        Args:
            write: As for `change`.
            reason: What the job waits for.
            pause_s: When it is tried again: in so many seconds.

        Raises:
            LostClaim: If this worker lost the job. Nothing is written.
            StorageError: If the database stays away for `AWAY_S`.
        """

        def transaction(session: Session) -> None:
            flow.lock(session)
            if not jobs.postpone(session, self.claim, reason, pause_s=pause_s):
                raise LostClaim
            write(session)

        self._patiently(transaction)

    def conclude(self, write: Callable[[Session], None]) -> None:
        """End the job and write its results, in one transaction under the flow's lock.

        Args:
            write: Writes the results. It may be called again if the database was away.

        Raises:
            LostClaim: If this worker lost the job. Nothing is written.
            StorageError: If the database stays away for `AWAY_S`.
        """
        self._write(write, jobs.finish, locked=True)

    def _write(
        self, write: Callable[[Session], None], is_ours: Callable[[Session, Claim], bool], *, locked: bool
    ) -> None:
        def transaction(session: Session) -> None:
            if locked:
                flow.lock(session)
            if not is_ours(session, self.claim):
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


def _foreign(dataset: DatasetRow, network: Checkpoint | None, settings: Settings) -> Foreign | None:
    """What is foreign to a child; None if both the videos and the program are vcpbench's own."""
    source, is_graph = dataset.source, network is not None and network.graph is not None
    if is_built_in(source["name_or_path"]) and not is_graph:
        return None
    where = {name: source[name] for name in ("name_or_path", "csv", "lists") if source.get(name)}
    own = [settings.scratch, cache_dir(), data_dir()]
    if settings.store_url.startswith("file:"):
        own.append(Path(unquote(urlsplit(settings.store_url).path)))
    if secrets := os.environ.get(SECRETS):
        own.append(Path(secrets).parent)  # `vcpbench up` keeps a token beside it
    program = str(network.id) if network is not None and is_graph else None
    return Foreign(dataset=where, program=program, closed=tuple(map(str, own)), device=settings.device)


def is_away(error: DBAPIError) -> bool:
    """Whether the database went away, has not started yet or has no room, so that a retry may succeed.

    A statement that needs too much memory does not count: it would fail again.
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
