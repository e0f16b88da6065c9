"""The doorbell: a Celery message that names a queue and says only "look again".

A bell that cannot be rung is no error: the row is there, and idle workers look by themselves.
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

BELL = "vcpbench.bell"
MAX_BELLS = 8  # at once; a worker that is done looks again by itself
SILENCE_S = 5.0  # after a failure: requests should not wait for a broker that is down, one after the other
BROKER_TIMEOUT_S = 1.0

log = structlog.get_logger("vcpbench.bell")


def celery_app(settings: Settings) -> Celery:
    """The Celery application of service and workers; JSON only, no result backend."""
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


class Doorbell:
    """Rings after commit; never raises for a broker that is down, and never waits long for one.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        # Who listens must wait for ever; who rings must not, not even for a broker that takes the connection
        # and says nothing.
        self._app.conf.broker_transport_options["socket_timeout"] = BROKER_TIMEOUT_S
        self._silent_until = 0.0

    def ring(self, bells: Counter[str]) -> None:
        """Ring for each queue, at most a few times."""
        if time.monotonic() < self._silent_until:
            return
        try:
            for queue, number in bells.items():
                for _ in range(min(number, MAX_BELLS)):
                    self._send(queue)
        except (OperationalError, RedisError, OSError) as error:
            self._silent_until = time.monotonic() + SILENCE_S
            log.warning("bell not rung", queues=sorted(bells), error=str(error) or type(error).__name__)

    def _send(self, queue: str) -> None:
        options: dict[str, Any] = {"queue": queue, "expires": 60, "ignore_result": True}
        policy = {"max_retries": 1, "interval_start": 0, "interval_max": 0.1}
        self._app.send_task(BELL, retry=True, retry_policy=policy, **options)
