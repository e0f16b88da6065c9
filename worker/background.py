"""The background threads of a worker: say that it is alive, take back lost jobs, look for work, deliver."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from records import flow
from records import sweep as tidying
from records.db import Database
from records.orphans import Stopped, never
from records.repositories import audit, evaluations, events, jobs, locks, workers
from records.repositories.workers import WorkerReport
from records.settings import Retention, Settings
from records.storage import Storage
from vcp_core.catalog.errors import StorageError
from vcp_core.scoring.maps import MAP_VERSION
from worker.deliveries import Deliveries
from worker.job_loop import JobLoop
from worker.work import is_away

SWEEP_EVERY_S = 5.0
FORGOTTEN_S = 86400.0  # a worker that was silent for a day leaves the table
TIDY_EVERY_S = 3600.0
PIECES = (
    10  # of the jobs that cancelled evaluations left behind, in one sweep; others get the lock in between
)

log = structlog.get_logger("vcpbench.worker")


def register(database: Database, report: WorkerReport) -> None:
    """Add this process to the table of workers."""
    with database.session() as session:
        workers.report(session, report)


def unregister(database: Database, worker_id: UUID) -> None:
    """Remove this process from the table of workers.

    If the database is away, the row stays. Another worker's sweep removes it after `FORGOTTEN_S`.
    """
    try:
        with database.session() as session:
            workers.remove(session, worker_id)
    except SQLAlchemyError as error:
        log.warning("database away; not signed off", error=str(error.args[0]).splitlines()[0])


class BackgroundThreads:
    """Threads: one reports that the worker is alive, one looks for work without a message, one tidies.

    Another sends the deliveries of webhooks, unless the settings leave that to `python -m worker --deliver`.

    Args:
        settings: Says how often they look, and what is kept for how long.
        database: Holds the jobs and workers.
        storage: Holds the objects.
        job_loop: Does the jobs.
        report: What the table of workers says of this process.

    Attributes:
        broken: Whether a thread ended by an unexpected exception. The process was then told to end.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        job_loop: JobLoop,
        report: WorkerReport,
    ) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._job_loop, self._report = job_loop, report
        self._ended = threading.Event()
        delivering = [self._deliver_loop] if settings.deliveries else []
        self._threads = [
            threading.Thread(target=self._run, args=(loop,), name=loop.__name__, daemon=True)
            for loop in (self._sweep_loop, self._look_loop, self._tidy_loop, *delivering)
        ]
        self.broken = False

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads and wait for them. Call `JobLoop.stop` first: it ends the job in work."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, loop: Callable[[], None]) -> None:
        """Run a loop, and end the process if the loop breaks.

        A worker with a broken loop would look healthy. A process that ends is restarted.
        """
        try:
            loop()
        except Exception:
            log.exception("a background thread broke; the worker ends")
            self.broken = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _deliver_loop(self) -> None:
        Deliveries(self._settings, self._database).run(self._ended)

    def _look_loop(self) -> None:
        while not self._ended.is_set():
            self._job_loop.run_until_idle()
            self._ended.wait(self._settings.idle_look_s)

    def _sweep_loop(self) -> None:
        every = min(SWEEP_EVERY_S, self._settings.lease_s / 4)
        while not self._ended.is_set():
            try:
                with self._database.session() as session:
                    workers.report(session, self._report, job_id=self._job_loop.current)
                    drained = workers.is_drained(session, self._report.id)
                if drained:
                    log.info("an administrator let this worker end after its job")
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                with self._database.session() as session:
                    sweep(session)
                for _ in range(PIECES):
                    if self._ended.is_set() or not end_left_jobs(self._database):
                        break
            except SQLAlchemyError as error:
                log.warning("database away; not swept", error=str(error.args[0]).splitlines()[0])
            self._ended.wait(every)

    def _tidy_loop(self) -> None:
        """Sweep the store. This takes minutes where it is large, and the worker must not seem silent."""
        while not self._ended.is_set():
            try:
                forget_old(self._database, self._settings.audit_days)
                tidy(
                    self._database,
                    self._storage,
                    self._settings,
                    every_s=TIDY_EVERY_S / 2,
                    stopped=self._ended.is_set,
                )
            except StorageError as error:
                log.warning("not tidied", error=str(error))
            except SQLAlchemyError as error:
                away = isinstance(error, DBAPIError) and is_away(error)
                why = "database away; not tidied" if away else "not tidied"
                log.warning(why, error=str(error.args[0]).splitlines()[0])
            self._ended.wait(TIDY_EVERY_S)


def sweep(session: Session) -> None:
    """Requeue lost jobs and wake idle workers. Only one worker sweeps at a time."""
    if not locks.try_take(session, "vcpbench.sweep"):
        return
    flow.lock(session)
    requeued, failed = jobs.sweep(session)
    for job in failed:
        flow.job_failed(session, job)
    if requeued or failed:
        log.warning("workers fell silent", requeued=requeued, failed=len(failed))
    workers.forget_silent(session, FORGOTTEN_S)
    waiting = jobs.num_claimable(session)
    if waiting:
        _wake_idle(session, waiting)


def end_left_jobs(database: Database) -> bool:
    """End some of the jobs that cancelled evaluations left behind. Only one worker does so at a time.

    Returns:
        Whether more may be there.
    """
    with database.session() as session:
        if not locks.try_take(session, "vcpbench.left") or evaluations.leaving_jobs(session) is None:
            return False
        flow.lock(session)
        return flow.end_left_jobs(session)


def tidy(
    database: Database,
    storage: Storage,
    limits: Retention,
    *,
    every_s: float = 0.0,
    stopped: Stopped = never,
) -> None:
    """Sweep the installation, unless another worker does so just now or did so lately (`records.sweep`)."""
    found = tidying.run(database, storage, limits, map_version=MAP_VERSION, every_s=every_s, stopped=stopped)
    for what, freed in (found or {}).items():
        if freed.count:
            log.info("swept", what=what, count=freed.count, size_bytes=freed.size_bytes)


def forget_old(database: Database, audit_days: int) -> None:
    """Delete old events with their deliveries, and old entries of the audit log."""
    with database.session() as session:
        events.forget_old(session)
        audit.forget_old(session, audit_days)


def _wake_idle(session: Session, waiting: dict[str, int]) -> None:
    """Send at most as many wake-ups as there are idle slots: more would only pile up in the broker."""
    slots = [worker.queues for worker in workers.idle(session)]
    for queue, number in waiting.items():
        times = min(number, sum(queue in queues for queues in slots))
        if times:
            jobs.wake_up_after_commit(session, queue, times)
