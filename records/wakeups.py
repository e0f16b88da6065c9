"""Wake-ups: a Celery message that names a queue and says only "look again".

If a wake-up cannot be sent, nothing is lost: the job has its row, and idle workers look for work regularly.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from records.settings import Settings

WAKE_UP = "vcpbench.bell"  # the task's name in messages; workers of earlier versions know no other
MAX_WAKE_UPS = 32  # for one commit; a worker that ends a job looks for the next by itself
SILENCE_S = 5.0  # pause after a failure: otherwise every request would wait for a broker that is down
BROKER_TIMEOUT_S = 1.0

log = structlog.get_logger("vcpbench.wakeups")


def celery_app(settings: Settings) -> Celery:
    """Make the Celery application of service and workers. It takes JSON only and has no result backend."""
    app = Celery("vcpbench", broker=settings.broker_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        task_default_queue="cpu",
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": BROKER_TIMEOUT_S,
            "retry_on_timeout": False,
            "max_retries": 1,
            "interval_start": 0,
        },
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
    )
    return app


class WakeUps:
    """Wakes workers after a commit. If the broker is down, it does not raise and does not wait long.

    Args:
        settings: Names the broker.
    """

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        # A worker that listens waits for ever, so this timeout is not in `celery_app`. A sender must not wait
        # for ever: a broker may accept the connection and never answer.
        self._app.conf.broker_transport_options["socket_timeout"] = BROKER_TIMEOUT_S
        self._silent_until = 0.0

    def send(self, new_jobs: Counter[str]) -> None:
        """Send one wake-up for each new job of each queue, at most `MAX_WAKE_UPS` for a queue."""
        if time.monotonic() < self._silent_until:
            return
        try:
            for queue, number in new_jobs.items():
                for _ in range(min(number, MAX_WAKE_UPS)):
                    self._send(queue)
        except (OperationalError, RedisError, OSError) as error:
            self._silent_until = time.monotonic() + SILENCE_S
            log.warning("wake-up not sent", queues=sorted(new_jobs), error=str(error) or type(error).__name__)

    def _send(self, queue: str) -> None:
        options: dict[str, Any] = {"queue": queue, "expires": 60, "ignore_result": True}
        policy = {"max_retries": 1, "interval_start": 0, "interval_max": 0.1}
        self._app.send_task(WAKE_UP, retry=True, retry_policy=policy, **options)
