"""The job loop: claim a job, do it, claim the next, until none waits.

A Celery message starts the loop, and so does a background thread of the worker (worker/background.py).
"""

from __future__ import annotations

import tempfile
import threading
import traceback
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from records import flow, tracing
from records.db import Database
from records.models import Job, JobState
from records.repositories import jobs, queue
from records.repositories.jobs import Claim
from records.repositories.visibility import EVERYTHING
from records.settings import Settings
from records.storage import Storage
from vcp_core.catalog.errors import ReaderFailed, StorageError, VcpbenchError
from worker.disk import full_disk_as_storage_error
from worker.leases import Heartbeat, tell_progress
from worker.runner import ChildFailed, Runner, unforeseen
from worker.scratch import ScratchFolder
from worker.tasks import TASKS
from worker.work import LostClaim, ObjectCache, Work, is_away

ACCIDENTS = (ChildFailed, ReaderFailed, StorageError)  # expected errors; another attempt may succeed

log = structlog.get_logger("vcpbench.worker")


class JobLoop:
    """Does jobs one at a time.

    Args:
        settings: Names queues and device, and the length of a lease.
        database: Holds the jobs.
        storage: Holds the objects.
        worker_id: Id of this process in the table of workers.
        scratch: Folder of temporary files.
        walled: Whether walls stand around a child that decodes foreign videos.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        worker_id: UUID,
        scratch: ScratchFolder,
        *,
        walled: bool = True,
    ) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._worker_id, self._scratch = worker_id, scratch
        scratch.enter()
        self._object_cache = ObjectCache(storage, scratch.path / "objects")
        self._runner = Runner(scratch.path, walled=walled, memory_bytes=settings.child_memory_mib << 20)
        self._slot = threading.Lock()
        self._stopping = threading.Event()
        self.current: UUID | None = None

    def run_until_idle(self) -> None:
        """Do jobs until none waits.

        A second call waits for the first and then looks again. Otherwise a wake-up could be missed: it may
        arrive just after the first call found the queue empty.
        """
        with self._slot:
            while not self._stopping.is_set() and self._do_next():
                pass

    def stop(self) -> None:
        """Give back the job in work, and start no other."""
        self._stopping.set()
        self._runner.stop()

    def close(self) -> None:
        """End the child, once `run_until_idle` has returned."""
        with self._slot:
            self._runner.close()

    def _do_next(self) -> bool:
        claim, evaluation_id = self._claim()
        if claim is None:
            return False
        self.current = claim.job_id
        about = {"job": str(claim.job_id), "kind": claim.kind.value}
        if evaluation_id is not None:
            about["evaluation"] = str(evaluation_id)
        with (
            structlog.contextvars.bound_contextvars(**about),
            tracing.span(f"job {claim.kind.value}", role="CONSUMER", **about),
        ):
            log.info("job claimed", subject=str(claim.subject_id))
            try:
                self._do(claim)
            finally:
                self.current = None
        return True

    def _claim(self) -> tuple[Claim | None, UUID | None]:
        """Claim a job. Find the first evaluation that waits for the job, for logs and traces."""
        try:
            with self._database.session() as session:
                claim = jobs.claim(
                    session,
                    self._settings.queues,
                    worker_id=self._worker_id,
                    lease_s=self._settings.lease_s,
                )
                if claim is None:
                    return None, None
                evaluation = queue.done_for(session, session.get_one(Job, claim.job_id), EVERYTHING)
                return claim, None if evaluation is None else evaluation.id
        except DBAPIError as error:
            if not is_away(error):
                raise
            log.warning("database away; no job claimed")
            return None, None

    def _do(self, claim: Claim) -> None:
        beat = Heartbeat(self._database, claim, lease_s=self._settings.lease_s, on_lost=self._runner.kill)
        with beat:
            try:
                self._try(claim, beat)
                log.info("job done")
                tracing.annotate(end="done")
                tell_progress(self._database, claim.job_id)
            except Exception as error:  # users read the job's row, not this log
                tracing.annotate(end=type(error).__name__)
                self._ended_badly(claim, beat, error)

    def _try(self, claim: Claim, beat: Heartbeat) -> None:
        with full_disk_as_storage_error():
            self._scratch.enter()  # a cleaner of /tmp may have removed the folder
            with tempfile.TemporaryDirectory(
                dir=self._scratch.path, prefix="job-", ignore_cleanup_errors=True
            ) as folder:
                TASKS[claim.kind](self._work(claim, beat, Path(folder)))

    def _work(self, claim: Claim, beat: Heartbeat, folder: Path) -> Work:
        return Work(
            claim=claim,
            storage=self._storage,
            folder=folder,
            settings=self._settings,
            _database=self._database,
            _runner=self._runner,
            _object_cache=self._object_cache,
            _heartbeat=beat,
        )

    def _ended_badly(self, claim: Claim, beat: Heartbeat, error: Exception) -> None:
        if beat.lost or isinstance(error, LostClaim):
            log.info("this worker lost the job; stopped")
            return
        try:
            with self._database.session() as session:
                if self._stopping.is_set():
                    jobs.release(session, claim)
                    log.info("job given back: shutting down")
                    return
                flow.lock(session)
                if self._is_final(session, claim, error):
                    flow.job_failed(session, session.get_one(Job, claim.job_id))
        except DBAPIError as failure:
            if not is_away(failure):
                raise
            log.exception("database away; the job comes back when its lease is over")

    def _is_final(self, session: Session, claim: Claim, error: Exception) -> bool:
        if isinstance(error, VcpbenchError) and not isinstance(error, ACCIDENTS):
            log.warning("job failed", error=str(error))
            return jobs.fail(session, claim, error)
        tail = error.log_tail if isinstance(error, ChildFailed) else None
        if not isinstance(error, ACCIDENTS):
            log.exception("job crashed", exc_info=error)
            tail = "".join(traceback.format_exception(error))[-4000:]
        log.warning("attempt crashed", error=str(error))
        # An unexpected error may quote paths or rows, so its text goes only into the log. Everybody reads the
        # reason, but only operators read the log.
        what = error if isinstance(error, VcpbenchError) else VcpbenchError(unforeseen(type(error).__name__))
        outage = isinstance(error, StorageError)
        return jobs.crash(session, claim, what, log_tail=tail, outage=outage) is JobState.FAILED
