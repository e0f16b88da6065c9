"""Send the deliveries of webhooks: claim one, send it, note the result; a few at once."""

from __future__ import annotations

import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from sqlalchemy.exc import SQLAlchemyError

from records import destinations, migrate
from records.db import Database
from records.destinations import DestinationRefused
from records.logs import configure
from records.repositories import webhooks
from records.repositories.webhooks import Claim
from records.settings import Settings
from vcp_core.catalog.errors import VcpbenchError
from worker import payloads, sending
from worker.sending import NotDelivered

AT_ONCE = 4  # deliveries of one worker; a webhook has one at a time
LIMIT_S = 10.0  # for a receiver to take a delivery, and for the look-up of its name before that
LEASE_S = 60.0  # longer than a look-up and an exchange: then another worker sends the delivery again
LOOK_S, SOON_S = 2.0, 0.1  # pause of an idle worker, and of one whose deliveries are under way

log = structlog.get_logger("vcpbench.worker")


def main() -> int:
    """Send deliveries until a signal says to stop: a process that does no jobs, and needs no torch."""
    try:
        settings = Settings.load()
        configure(settings.log_format)
        database = Database(settings.database_url.get_secret_value())
        migrate.check(database)
    except VcpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    ended = threading.Event()

    def leave(*_: object) -> None:
        # In another thread: the signal may interrupt `ended.wait`, which holds the event's lock.
        threading.Thread(target=ended.set, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    log.info("sending deliveries of webhooks, and nothing else")
    Deliveries(settings, database).run(ended)
    return 0


class Deliveries:
    """Sends what is due, until the worker ends.

    Args:
        settings: Says which networks are allowed, and the address of the service for readers.
        database: Holds the outbox.
        clock: Seconds since 1970, for signatures.
        tls: Checks the receivers' certificates.
        limit_s: For one receiver, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        self._tls, self._limit_s = tls or ssl.create_default_context(), limit_s

    def run(self, ended: threading.Event) -> None:
        """Send deliveries until the event is set. Those under way are ended first."""
        under_way: set[Future[None]] = set()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="delivery") as pool:
            while not ended.is_set():
                for one in [one for one in under_way if one.done()]:
                    under_way.remove(one)
                    one.result()  # a fault of ours ends the worker
                claim = self.claim() if len(under_way) < AT_ONCE else None
                if claim is None:
                    ended.wait(SOON_S if under_way else LOOK_S)
                else:
                    under_way.add(pool.submit(self.deliver, claim))

    def claim(self) -> Claim | None:
        """Claim a delivery that is due."""
        try:
            with self._database.session() as session:
                return webhooks.claim(session, lease_s=LEASE_S)
        except SQLAlchemyError as error:
            log.warning("database away; nothing delivered", error=str(error.args[0]).splitlines()[0])
            return None

    def deliver(self, claim: Claim) -> None:
        """Send a claimed delivery, and note how it went.

        If the note is lost, the claim ends by itself, and the delivery is sent again under the same id.
        """
        with structlog.contextvars.bound_contextvars(delivery=str(claim.delivery_id)):
            error: str | None = None
            try:
                status: int | None = self._send(claim)
            except (DestinationRefused, NotDelivered) as refused:
                status, error = getattr(refused, "status", None), str(refused)
            try:
                self._note(claim, status, error)
            except SQLAlchemyError as failure:
                log.warning("database away; result not noted", error=str(failure.args[0]).splitlines()[0])

    def _send(self, claim: Claim) -> int:
        begun = time.monotonic()
        destination = destinations.parse(claim.url)
        addresses = destinations.resolve(destination, self._settings.webhook_networks)
        if time.monotonic() > begun + LEASE_S - 2 * self._limit_s:
            raise NotDelivered(f"the look-up of {destination.host} took too long")
        body = payloads.body_of(claim, self._settings.public_url)
        headers = payloads.headers_of(claim, body, int(self._clock()))
        return sending.post(destination, addresses, body, headers, limit_s=self._limit_s, tls=self._tls)

    def _note(self, claim: Claim, status: int | None, error: str | None) -> None:
        with self._database.session() as session:
            if error is None:
                assert status is not None
                webhooks.delivered(session, claim, status)
                log.info("delivered", status=status, kind=claim.event.kind.value)
            elif webhooks.failed(session, claim, error, status):
                log.warning("webhook failed for days; switched off", webhook=str(claim.webhook_id))
            else:
                log.info("not delivered", error=error)
