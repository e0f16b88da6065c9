"""What Prometheus collects about jobs. Workers have no port: their rows say what they did.

Jobs that wait or run are counted anew for each answer. How jobs ended is counted from the start of this
process on: each answer looks at what happened since the last one. So every process of the service, and every
restart, has counters of its own.
"""

from __future__ import annotations

import threading
from datetime import datetime
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy.orm import Session

from records.models import JobKind, JobState
from records.repositories import attempts
from records.repositories.attempts import Attempted

BUCKETS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
WORDS = {JobState.QUEUED: "waiting", JobState.RUNNING: "running"}
ENDS = {JobState.DONE: "done", JobState.FAILED: "failed"}
REASONS = ("crash", "outage", "lost")


class JobMetrics:
    """Counts how jobs end, between one answer and the next.

    Args:
        registry: Holds the counts.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "vcpbench_job_seconds",
            "Time from the claim to the end of jobs that ended since this process started",
            ["kind", "state"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._failed = Counter(
            "vcpbench_failed_attempts",
            "Attempts at jobs that failed since this process started. lost: the lease was not renewed",
            ["kind", "reason"],
            registry=registry,
        )
        for kind in JobKind:  # Prometheus sees an increase only if the counter was there before
            for reason in REASONS:
                self._failed.labels(kind.value, reason)
        self._guard = threading.Lock()
        self._begun: datetime | None = None  # of the last look
        self._running: set[UUID] = set()  # at the last look
        self._ended: set[tuple[UUID, datetime | None]] = set()  # attempts that the last look counted
        self._known: dict[UUID, dict[str, int]] = {}  # failed attempts of live jobs that were counted

    def look(self, session: Session) -> None:
        """Count what happened since the last look. The first look only notes what is there."""
        with self._guard:
            begun = attempts.now(session)
            found = list(attempts.since(session, self._begun or begun, self._running))
            if self._begun is None:
                self._known = {job.id: job.failed for job in attempts.unlucky(session)}
            else:
                for job in found:
                    self._count(job)
            self._begun = begun
            self._running = {job.id for job in found if job.state is JobState.RUNNING}
            self._ended = {_attempt(job) for job in found if _is_over(job)}

    def _count(self, job: Attempted) -> None:
        if _is_over(job) and _attempt(job) in self._ended:
            return
        before = self._known.pop(job.id, {})
        for reason, number in job.failed.items():
            self._failed.labels(job.kind.value, reason).inc(max(0, number - before.get(reason, 0)))
        if not _is_over(job):
            self._known[job.id] = job.failed
        elif job.state in ENDS and job.seconds is not None:
            self._seconds.labels(job.kind.value, ENDS[job.state]).observe(job.seconds)


def _attempt(job: Attempted) -> tuple[UUID, datetime | None]:
    return job.id, job.started_at


def _is_over(job: Attempted) -> bool:
    return job.state not in WORDS


def show_live(session: Session, registry: CollectorRegistry) -> None:
    """Add the jobs that wait or run, by kind."""
    number = Gauge(
        "vcpbench_jobs_by_kind", "Jobs that have not ended, by kind", ["kind", "state"], registry=registry
    )
    oldest = Gauge(
        "vcpbench_oldest_job_by_kind_seconds",
        "Age of the oldest request with a waiting job of this kind, in seconds; 0 if no job waits",
        ["kind"],
        registry=registry,
    )
    for kind in JobKind:
        oldest.labels(kind.value).set(0)
        for word in WORDS.values():
            number.labels(kind.value, word).set(0)
    for kind, state, num_jobs, age_s in attempts.live_by_kind(session):
        number.labels(kind.value, WORDS[state]).set(num_jobs)
        if state is JobState.QUEUED:
            oldest.labels(kind.value).set(age_s)
