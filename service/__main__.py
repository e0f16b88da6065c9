"""`python -m service`: the API, by uvicorn."""

from __future__ import annotations

import gc
import sys

import uvicorn

from records import tracing
from records.logs import configure
from records.settings import Settings
from service.app import checked_app
from service.connections import Connection
from vcp_core.catalog.errors import VcpbenchError

GC_THRESHOLD = 20_000  # new objects that start a collection
GRACE_S = 10  # for requests that are under way when a signal comes
# Longer than clients and proxies keep an idle connection (httpx 5 s, nginx 60 s). If the server is the first
# to close, a request that is on its way gets no answer.
KEEP_ALIVE_S = 75


def main() -> int:
    """Serve until a signal says to stop."""
    try:
        settings = Settings.load()
        configure(settings.log_format)
        tracing.configure("service")
        app = checked_app(settings)
    except VcpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # A page of a large board makes thousands of objects, and all of them live until the page is sent. With
    # Python's own threshold of 700 new objects, each page is searched for garbage many times. `freeze` takes
    # what was loaded by now out of a full collection. docs/decisions/2026-11-28-board.md has both in numbers.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    uvicorn.run(
        app,
        http=Connection,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
