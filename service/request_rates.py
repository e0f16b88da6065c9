"""How many requests one token may send in a minute. Valkey counts, for all processes of the service together.

Requests without a token are counted by the client's address. While Valkey is away, every request passes.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import structlog
from redis import Redis
from redis.exceptions import RedisError

from records.db import without_password
from records.settings import Settings
from service.problems import TooMany

WINDOW_S = 60
TIMEOUT_S = 0.25  # Valkey answers in less than a millisecond
SILENCE_S = 5.0  # pause after a failure: otherwise every request would wait for a Valkey that is down

log = structlog.get_logger("vcpbench.service")


class RequestRates:
    """Counts requests by sender, in windows of a minute.

    Args:
        settings: Names the broker, and says how many requests are allowed. With 0, nothing is counted.
        clock: Seconds since 1970.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._allowed, self._clock = settings.requests_per_minute, clock
        self._valkey = Redis.from_url(
            _valkey_url(settings.broker_url.get_secret_value()),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )
        database = without_password(settings.database_url.get_secret_value())
        self._prefix = "vcpbench.requests." + _digest(database)  # several installations may share one Valkey
        self._silent_until = 0.0

    def count(self, sender: str, said: str) -> None:
        """Count one more request.

        Args:
            sender: Identifies the sender.
            said: The sender's name in an error, as a subject: "Token 'ci' of team 'a'".

        Raises:
            TooMany: If the sender has sent as many requests in this minute as are allowed.
        """
        now = self._clock()
        used = self._increment(f"{self._prefix}.{int(now // WINDOW_S)}.{sender}") if self._allowed else 0
        if used > self._allowed:
            left_s = math.ceil(WINDOW_S - now % WINDOW_S)
            raise TooMany(
                f"{said} sent {used} requests within this minute, and {self._allowed} are allowed. The next "
                f"minute begins in {left_s} s. Ask less often, or ask an operator to raise "
                "VCPBENCH_REQUESTS_PER_MINUTE.",
                retry_s=left_s,
                limit="requests per minute",
                used=used,
                allowed=self._allowed,
            )

    def _increment(self, key: str) -> int:
        """Return the new value of a counter; 0 if Valkey is away."""
        if time.monotonic() < self._silent_until:
            return 0
        try:
            pipeline = self._valkey.pipeline(transaction=False)
            pipeline.incr(key)
            pipeline.expire(key, 2 * WINDOW_S)
            used, _ = pipeline.execute()
        except (RedisError, OSError) as error:
            self._silent_until = time.monotonic() + SILENCE_S
            log.warning("requests not counted; all pass", error=str(error) or type(error).__name__)
            return 0
        return int(used)

    def close(self) -> None:
        """Close the connections."""
        self._valkey.close()


def _valkey_url(broker_url: str) -> str:
    """Write Celery's address of a socket as redis-py does.

    >>> _valkey_url("redis+socket:///run/valkey.sock?virtual_host=3")
    'unix:///run/valkey.sock?db=3'
    >>> _valkey_url("redis://:password@host:6379/0")
    'redis://:password@host:6379/0'
    """
    parts = urlsplit(broker_url)
    if parts.scheme != "redis+socket":
        return broker_url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/")
    return f"unix://{parts.netloc}{parts.path}?db={database}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
