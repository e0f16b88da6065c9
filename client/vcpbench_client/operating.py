"""The part of the client for operators: the queue, the workers, pauses, quotas and sign-ins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vcpbench_client.answers import Evaluation, Pause
from vcpbench_client.asking import Asking
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of a worker.

    Attributes:
        kind: What a worker does: "ingest", "index", "plan", "extract", ...
        state: "queued", "running", "done", "failed" or "cancelled".
        paused: Whether an administrator paused its queue or its kind.
        subject: What it is about, in words.
        evaluation: The id of the evaluation that it is about, if it is about one.
        checkpoint: The id of the checkpoint.
        age_s: Seconds since its evaluation or upload was asked for.
        attempts: Attempts that crashed, met a full or absent store, or were lost.
        not_before: When it is tried again, after an attempt that failed.
        worker: The worker that claimed it last.
        error: Why it failed, or why the last attempt did.
        log_tail: What this attempt printed last.
    """

    id: str
    kind: str
    queue: str
    state: str
    subject: str
    team: str
    priority: int
    attempts: int
    asked_at: datetime
    age_s: float
    paused: bool = False
    evaluation: str | None = None
    checkpoint: str | None = None
    not_before: datetime | None = None
    worker: str | None = None
    started_at: datetime | None = None
    done: int = 0
    total: int | None = None
    finished_at: datetime | None = None
    error: str | None = None
    log_tail: str | None = None


@dataclass(frozen=True, kw_only=True)
class OperatedWorker:
    """A worker that was seen in the last 30 s, as an administrator sees it.

    Attributes:
        name: Host and process id.
        lacking_walls: Walls around foreign files that its machine lacks, and why.
        job: The job that it does now.
        draining_since: Since when it is to end after its job.
        drained_by: Name of the token that asked for this.
    """

    id: str
    name: str
    queues: tuple[str, ...]
    device: str
    started_at: datetime
    seen_at: datetime
    lacking_walls: dict[str, str] = field(default_factory=dict)
    job: Job | None = None
    draining_since: datetime | None = None
    drained_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerList:
    """All workers that were seen in the last 30 s."""

    workers: tuple[OperatedWorker, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a request changed.

    Attributes:
        kind: What the id named: "job", "evaluation" or "checkpoint".
        job: The job that was queued again or cancelled.
        evaluations: Evaluations that were asked for again, cancelled or failed, with their states now.
        left_out: Failed evaluations that cannot be asked for again, and why.
    """

    kind: str
    id: str
    job: str | None = None
    evaluations: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Purge:
    """What was removed, or would be; `more` tells whether there is more to remove."""

    before: datetime
    dry_run: bool
    logs: int
    jobs: int
    more: bool


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a team uses of one limit.

    Attributes:
        allowed: None if there is no limit.
        own: Whether the limit is the team's own. If not, it is the installation's.
        frees: When there is room again, in words.
    """

    used: int
    allowed: int | None = None
    own: bool = False
    frees: str = ""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a team uses, and what it may use: bytes of its files, new checkpoints, live evaluations."""

    team: str
    num_bytes: Use
    uploads_a_day: Use
    running: Use


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A session of a person who signed in at the provider.

    Attributes:
        name: The person, as the provider names them.
        expires_at: When the session ends. The person must then sign in again.
    """

    id: str
    name: str
    team: str
    role: str
    signed_in_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class SignedOut:
    """Who was signed out, and how many sessions this ended."""

    name: str
    team: str
    sessions: int


class Operating(Asking):
    """Methods of `Client` for administrators, and `quota` for everybody."""

    def jobs(
        self,
        *,
        states: Sequence[str] = (),
        queue: str | None = None,
        kind: str | None = None,
        team: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Jobs: running ones, those that wait, then those that ended.

        Args:
            states: Only in these states; "running" and "queued" if left out.
            queue: Only of this queue.
            kind: Only of this kind.
            team: Only of this team.
            limit: At most so many.
        """
        wanted = {"state": list(states) or None, "queue": queue, "kind": kind, "team": team}
        return self._pages(Job, "/admin/queue", limit, wanted)

    def workers(self) -> tuple[OperatedWorker, ...]:
        """The workers, and the job of each."""
        return self._get(WorkerList, "/admin/workers").workers

    def drain(self, worker: str, *, draining: bool = True) -> OperatedWorker:
        """Let a worker finish its job, claim no more, and end; or, until it has ended, let it go on.

        Args:
            worker: Its name, or the first characters of its id.
            draining: False to undo it.
        """
        path = f"/admin/workers/{segment(worker)}"
        return self._asked(OperatedWorker, "PATCH", path, body={"draining": draining})

    def requeue(self, thing: str) -> Change:
        """Do a job or an evaluation that failed or was cancelled again, with fresh attempts.

        Args:
            thing: The id of a job, an evaluation, or a rejected checkpoint, or its first characters.

        Raises:
            Conflict: If it runs, is done, or cannot be done again.
        """
        return self._asked(Change, "POST", "/admin/requeue", body={"id": thing})

    def cancel_work(self, thing: str) -> Change:
        """Cancel a job, an evaluation, or all work for a checkpoint.

        The request is sent once: if no answer comes, look at `jobs` before you cancel again.

        Args:
            thing: The id of a job, an evaluation or a checkpoint, or its first characters.

        Raises:
            Conflict: If it has ended.
        """
        return self._asked_once(Change, "POST", "/admin/cancel", body={"id": thing})

    def prioritise(self, evaluation: str, priority: str) -> Evaluation:
        """Give an evaluation the priority "high", "usual" or "low"."""
        path = f"/admin/evaluations/{segment(evaluation)}/priority"
        return self._asked(Evaluation, "PUT", path, body={"priority": priority})

    def pause(self, what: str, why: str) -> Pause:
        """Let workers claim nothing of a queue or a kind of job. What runs goes on.

        Args:
            what: "gpu", "cpu", or a kind of job such as "index".
            why: For everybody who waits.
        """
        return self._asked(Pause, "PUT", f"/admin/pauses/{segment(what)}", body={"why": why})

    def resume(self, what: str) -> Pause:
        """Let workers claim again, and return the pause that was.

        The request is sent once: if no answer comes, look at `status` before you resume again.
        """
        return self._asked_once(Pause, "DELETE", f"/admin/pauses/{segment(what)}")

    def purge(self, days: int, *, dry_run: bool = False) -> Purge:
        """Remove logs and rows of jobs that ended at least so many days ago, or only count them.

        It cannot be undone. Results, features and checkpoints stay.
        """
        total = self._purged(days, dry_run)
        while total.more and not dry_run:
            some = self._purged(days, dry_run)
            logs, jobs = total.logs + some.logs, total.jobs + some.jobs
            total = Purge(before=total.before, dry_run=False, logs=logs, jobs=jobs, more=some.more)
        return total

    def _purged(self, days: int, dry_run: bool) -> Purge:
        return self._asked(Purge, "POST", "/admin/purge", body={"days": days, "dry_run": dry_run})

    def quota(self, team: str | None = None) -> Quota:
        """What your team uses and may use; with `team`, which takes an administrator, another team."""
        return self._get(Quota, "/quota" if team is None else f"/admin/quotas/{segment(team)}")

    def set_quota(self, team: str, **limits: int | None) -> Quota:
        """Give a team limits of its own.

        Args:
            team: Its name.
            limits: `num_bytes`, `uploads_a_day`, `running`. None: the installation's setting; 0: no limit. A
                limit that is left out stays.
        """
        return self._asked(Quota, "PUT", f"/admin/quotas/{segment(team)}", body=limits)

    def sign_ins(self, *, team: str | None = None, limit: int | None = None) -> Iterator[SignIn]:
        """Sessions of people who signed in at the provider, the newest first.

        Args:
            team: Only of this team.
            limit: At most so many.
        """
        return self._pages(SignIn, "/admin/sign-ins", limit, {"team": team})

    def sign_out(self, person: str) -> SignedOut:
        """End all sessions of a person. Tokens that the person owns stay valid.

        The request is sent once. If no answer comes, send it again: it does no harm, and raises `NotFound` if
        the first one arrived.

        Args:
            person: The name, as `sign_ins` lists it, or the id of a session, or its first characters.

        Raises:
            NotFound: If nobody of this name is signed in.
            Conflict: If several people of this name are.
        """
        return self._asked_once(SignedOut, "POST", "/admin/sign-out", body={"person": person})
