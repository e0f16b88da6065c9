"""The worker process: Celery listens for wake-ups, a loop does the jobs, background threads do the rest.

Celery runs one thread in its pool (`--pool threads`), so the process stays free to hear signals. A wake-up
is acknowledged as soon as it arrives: it carries no data, so losing one loses no job.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from records import migrate, tracing
from records.db import Database
from records.logs import configure
from records.repositories.workers import WorkerReport
from records.settings import Settings
from records.storage import Storage
from records.wakeups import WAKE_UP, WakeUps, celery_app
from vcp_core.catalog.errors import Private, VcpbenchError, WallsMissing
from vcp_core.probes.rows import most_bytes
from vcp_core.walls import Walls, check, policy
from vcp_core.walls.report import REQUIRED, VARIABLE, WANTED
from worker.background import BackgroundThreads, register, unregister
from worker.job_loop import JobLoop
from worker.runner import ChildFailed, Foreign, Runner
from worker.scratch import ScratchFolder, make_private, remove_abandoned

DEVICE_S = 300.0  # loading torch from a cold disk can take minutes

log = structlog.get_logger("vcpbench.worker")
_ASKED_TO_LEAVE = threading.Event()


def main() -> int:
    """Work until a signal says to stop."""
    try:
        settings = Settings.load()
        configure(settings.log_format)
        tracing.configure("worker")
        walls = check()  # missing walls, too, fail the worker here if an operator requires all
        most_bytes()  # a bad limit of the probes' memory fails the worker here, not each of its jobs
        app = celery_app(settings)
        database = Database(settings.database_url.get_secret_value(), on_new_jobs=WakeUps(settings).send)
        migrate.check(database)
        storage = Storage(settings.store_url)
        make_private(settings.scratch)
        remove_abandoned(settings.scratch)
        device = _device(settings)
        worker_id = uuid4()
        scratch = ScratchFolder(settings.scratch, str(worker_id))
        walled = not device.no_walls
        job_loop = JobLoop(settings, database, storage, worker_id, scratch, walled=walled)
    except VcpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report = WorkerReport(
        id=worker_id,
        name=f"{platform.node()}:{os.getpid()}",
        queues=settings.queues,
        device=device.name,
        lacking_walls=walls.lacking | ({} if walled else {"decoding": device.no_walls}),
    )
    register(database, report)
    background = BackgroundThreads(settings, database, storage, job_loop, report)
    signal.signal(signal.SIGTERM, _leave)  # Celery replaces this handler once it listens
    log.info("worker starts", queues=settings.queues, device=device.name, worker=str(worker_id))
    _log_walls(walls)
    background.start()
    try:
        _listen(app, job_loop, settings)
    finally:
        job_loop.stop()
        background.stop()
        job_loop.close()
        unregister(database, worker_id)
        scratch.leave()
        tracing.shut_down()
        log.info("worker ended")
        if background.broken:
            # Exit here, in `finally`: Celery or `_leave` may already be ending the process with status 0.
            sys.exit(1)
    return 0


def _log_walls(walls: Walls) -> None:
    """Say which walls stand around the reader of uploads, and warn of each that this machine lacks."""
    log.info("walls around foreign files", standing=list(walls.standing))
    for name, why in walls.missing.items():
        tell = log.warning if name in walls.lacking else log.info
        tell("no such wall around foreign files", wall=name, why=why)


def _listen(app: Celery, job_loop: JobLoop, settings: Settings) -> None:
    @app.task(name=WAKE_UP, ignore_result=True)  # type: ignore[untyped-decorator]
    def wake_up() -> None:
        job_loop.run_until_idle()

    def shutting_down(**_: Any) -> None:
        # Not in the signal's own context: the signal may interrupt the thread that holds the loop's lock.
        threading.Thread(target=job_loop.stop, daemon=True).start()

    worker_shutting_down.connect(shutting_down, weak=False)
    worker_ready.connect(_leave_if_asked, weak=False)
    setup_logging.connect(_leave_logging_alone, weak=False)
    # Celery warns a worker that runs as root of pickled messages. Our messages are JSON, and a container
    # may have no other user than root.
    warnings.simplefilter("ignore", SecurityWarning)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            "--concurrency=1",
            f"--queues={','.join(settings.queues)}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


@dataclass(frozen=True)
class Device:
    """Where networks run, and why no walls stand around the process that decodes; "" if they do."""

    name: str = "none"
    no_walls: str = ""


def _device(settings: Settings) -> Device:
    """Try the device, behind walls and without. A missing device fails the worker here, not each of its jobs.

    Raises:
        VcpbenchError: If it does not work.
        WallsMissing: If it works only without walls, and an operator requires them.
    """
    if "gpu" not in settings.queues:
        return Device()
    walled = Foreign(dataset={}, device=settings.device)
    first = _describe(settings, walled)
    if isinstance(first, str) and not (first.startswith("cpu") and _expects_gpu(settings)):
        return Device(first)
    # What was wrong may be over, such as a disk that was slow at the first start. So try the walls again.
    name, again = _describe(settings, None), _describe(settings, walled)
    if isinstance(name, ChildFailed):
        raise VcpbenchError(f"torch does not start: {name}. ", Private(name.log_tail)) from None
    if isinstance(name, VcpbenchError):
        raise name
    if again == name:
        return Device(name)
    why = f"{name} works only without them: {again}"
    log.warning("no walls around the process that decodes", why=why, log=getattr(again, "log_tail", ""))
    if policy() == REQUIRED:
        raise WallsMissing(
            f"The device {why}. {VARIABLE} is {REQUIRED}, so no foreign file is opened. Use another device, "
            f"or set {VARIABLE} to {WANTED}."
        )
    return Device(name, why)


def _expects_gpu(settings: Settings) -> bool:
    """Whether this machine has a GPU that `settings` would use. Behind walls, torch may not see it."""
    return settings.device != "cpu" and any(Path("/dev").glob("nvidia[0-9]*"))


def _describe(settings: Settings, foreign: Foreign | None) -> str | VcpbenchError:
    """Name the device after a small network ran on it, or say why it did not."""
    runner = Runner(settings.scratch)
    try:
        answer = runner.call(
            {"do": "describe", "device": settings.device},
            stall_s=DEVICE_S,
            on_progress=lambda done, total: None,
            foreign=foreign,
        )
    except VcpbenchError as error:
        return error
    finally:
        runner.close()
    return str(answer["device"])


def _leave(number: int, frame: FrameType | None) -> None:
    _ASKED_TO_LEAVE.set()
    raise SystemExit(0)


def _leave_if_asked(**_: Any) -> None:
    """Send the signal again, now that Celery listens for it.

    Python drops an exception that a signal raises while an object's `__del__` runs, such as a closed
    connection's. The worker would then go on as if nobody had asked it to end.
    """
    if _ASKED_TO_LEAVE.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _leave_logging_alone(**_: Any) -> None:
    """Celery sets up logging of its own unless somebody listens to this signal."""
