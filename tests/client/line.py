"""A bad line between client and service: connections pass through it, break, or are answered by it."""

from __future__ import annotations

import socket
import threading
from collections import deque
from contextlib import closing, suppress
from urllib.parse import urlsplit

ANSWER = "HTTP/1.1 {status} X\r\n{headers}Content-Length: 5\r\nConnection: close\r\n\r\nproxy"


class Line:
    """Listens on a port of its own and passes bytes on.

    Attributes:
        url: Where clients connect.
        faults: What happens to the next connections, one each: a number of bytes that the client may send
            before it breaks, or an answer (status, headers) that the service never hears of.
        num_connections: So far.
    """

    def __init__(self, service_url: str, *, port: int = 0) -> None:
        self._service = urlsplit(service_url)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: deque[int | tuple[int, str]] = deque()
        self.num_connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def kill(self) -> None:
        """As a server that is killed: refuse whoever comes, and break what is open."""
        self.close()
        self.cut()

    def cut(self) -> None:
        """Break what is open; whoever comes next is served."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Refuse whoever comes; what is open stays."""
        # shutdown: close alone would leave the thread in accept(), and it would take one more.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.num_connections += 1
            self._open.append(client)
            fault = self.faults.popleft() if self.faults else None
            threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: int | tuple[int, str] | None) -> None:
        with closing(client), suppress(OSError):
            if isinstance(fault, tuple):
                client.recv(65536)
                client.sendall(ANSWER.format(status=fault[0], headers=fault[1]).encode())
                return
            address = self._service.hostname or "", self._service.port or 80
            with closing(socket.create_connection(address)) as service:
                back = threading.Thread(target=_pass, args=(service, client, None), daemon=True)
                back.start()
                _pass(client, service, fault)
                if fault is None:
                    back.join()
                for end in (client, service):  # a close alone says nothing while `back` still reads
                    end.shutdown(socket.SHUT_RDWR)


def _pass(source: socket.socket, target: socket.socket, at_most: int | None) -> None:
    """Bytes from one to the other, until it ends or so many have passed."""
    passed = 0
    with suppress(OSError):
        while at_most is None or passed < at_most:
            chunk = source.recv(65536 if at_most is None else min(65536, at_most - passed))
            if not chunk:
                break
            target.sendall(chunk)
            passed += len(chunk)
        if at_most is None:
            target.shutdown(socket.SHUT_WR)
