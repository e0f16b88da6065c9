"""Keep a claimed job: a thread renews the lease, reports progress, and notices when the job is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from records.db import Database
from records.repositories import events, jobs
from records.repositories.jobs import Claim

RENEW_EVERY_S = 2.0  # far below a lease: a worker notices a cancelled job only when it renews

log = structlog.get_logger("vcpbench.worker")


class Heartbeat:
    """Renews a claim until the block ends.

    If the database is away for a while, the job is not lost yet. This worker keeps the job until the lease
    is over by its own clock. That clock started before the database's, so it never ends later.

    Args:
        database: Holds the job.
        claim: The attempt whose lease is renewed.
        lease_s: Length of a lease, seconds.
        on_lost: Called once, from the thread, when the job was cancelled or another worker has it.
    """

    def __init__(
        self, database: Database, claim: Claim, *, lease_s: float, on_lost: Callable[[], None]
    ) -> None:
        self._database, self._claim, self._lease_s, self._on_lost = database, claim, lease_s, on_lost
        self._deadline = time.monotonic() + lease_s
        self._ended = threading.Event()
        self._progress: tuple[int, int | None] = (0, None)
        self.lost = False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def tell(self, done: int, total: int) -> None:
        """Set the job's progress. The next renewal writes it."""
        self._progress = (done, total)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        every = min(RENEW_EVERY_S, self._lease_s / 4)
        while not self._ended.wait(every):
            if not self._renew():
                self.lost = True
                self._on_lost()
                return

    def _renew(self) -> bool:
        begun = time.monotonic()
        done, total = self._progress
        try:
            with self._database.session() as session:
                ours = jobs.renew(session, self._claim, lease_s=self._lease_s, done=done, total=total)
        except SQLAlchemyError as error:
            log.warning("lease not renewed", job=str(self._claim.job_id), error=str(error.args[0]))
            return time.monotonic() < self._deadline
        self._deadline = begun + self._lease_s
        if ours:
            tell_progress(self._database, self._claim.job_id)
        return ours


def tell_progress(database: Database, job_id: UUID) -> None:
    """Let watchers look at the progress of what a job is for. A notice that is lost harms nothing."""
    try:
        with database.session() as session:
            events.tell_progress(session, job_id)
    except SQLAlchemyError as error:
        log.warning("watchers not told", job=str(job_id), error=str(error.args[0]).splitlines()[0])
