"""Send one request of a webhook to an address that was checked, within one time limit for everything."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from records.destinations import Destination
from vcp_core.catalog.errors import VcpbenchError


class NotDelivered(VcpbenchError):
    """The receiver did not take a delivery.

    Args:
        why: For the people who look after the receiver.
        status: The HTTP status of the answer; None without one.
    """

    def __init__(self, why: str, *, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def post(
    destination: Destination,
    addresses: Sequence[str],
    body: bytes,
    headers: Mapping[str, str],
    *,
    limit_s: float,
    tls: ssl.SSLContext,
) -> int:
    """Send a request, and return the status of the answer, which is 200 to 299.

    Args:
        destination: Where it goes. Its name is for TLS and the header `Host`, and is not looked up.
        addresses: The checked addresses. The first that takes a connection is used.
        body: The body.
        headers: More headers.
        limit_s: For connection, TLS, request and answer together, seconds. A receiver that sends a byte
            now and then is cut off, too.
        tls: Checks the receiver's certificate.

    Raises:
        NotDelivered: If no such answer comes in time.
    """
    deadline = time.monotonic() + limit_s
    late = threading.Event()
    try:
        with _connected(destination, addresses, deadline, tls) as connection:
            timer = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, (connection, late))
            timer.start()
            try:
                status = _exchange(destination, connection, body, headers)
            finally:
                timer.cancel()
        if not late.is_set():  # the head of an answer that was cut off looks whole
            return status
    except (OSError, http.client.HTTPException) as error:
        if not late.is_set() and not isinstance(error, TimeoutError):
            raise NotDelivered(_words(error)) from None
    raise NotDelivered(f"no answer within {limit_s:g} s")


def _connected(
    destination: Destination, addresses: Sequence[str], deadline: float, tls: ssl.SSLContext
) -> socket.socket:
    """Connect to the first address that answers. The TLS handshake comes later, under the timer.

    An address that is silent takes its share of the time, and not that of the others.
    """
    for number, address in enumerate(addresses):
        share_s = (deadline - time.monotonic()) / (len(addresses) - number)
        try:
            connection = socket.create_connection((address, destination.port), timeout=max(0.001, share_s))
        except OSError:
            if number == len(addresses) - 1:
                raise
            continue
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        if destination.scheme == "http":
            return connection
        return tls.wrap_socket(connection, server_hostname=destination.host, do_handshake_on_connect=False)
    raise OSError("no address")


def _exchange(
    destination: Destination, connection: socket.socket, body: bytes, headers: Mapping[str, str]
) -> int:
    if isinstance(connection, ssl.SSLSocket):
        connection.do_handshake()
    client = http.client.HTTPConnection(destination.host, destination.port)
    client.sock = connection  # so that it connects nowhere by itself
    with_host = {"Host": str(destination).partition("//")[2], "Connection": "close", **headers}
    client.request("POST", destination.target, body, with_host)
    with client.getresponse() as answer:
        if 200 <= answer.status < 300:
            return answer.status
    why = f"the receiver answered {answer.status}"
    if 300 <= answer.status < 400:
        why += ", and webhooks follow no redirect"
    raise NotDelivered(why, status=answer.status)


def _cut(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        # The plain socket's: that of TLS takes the connection away from a handshake that is under way.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the receiver's certificate is not valid: {error.verify_message}"
    if isinstance(error, http.client.HTTPException):
        return f"the receiver's answer is not HTTP, or broke off: {type(error).__name__}"
    return f"no connection, or it broke off: {getattr(error, 'strerror', None) or type(error).__name__}"
