"""`python -m service`: the API, by uvicorn."""

from __future__ import annotations

import gc
import sys

import uvicorn

from records.logs import configure
from records.settings import Settings
from service.app import checked_app
from vcp_core.catalog.errors import VcpbenchError

GC_THRESHOLD = 20_000  # number of new objects that starts a collection of the youngest generation
GRACE_S = 10  # for requests that are under way when a signal comes


def main() -> int:
    """Serve until a signal says to stop."""
    try:
        settings = Settings.load()
        configure(settings.log_format)
        app = checked_app(settings)
    except VcpbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # A page of a large board makes tens of thousands of objects, and all of them live until the page is sent.
    # With the usual threshold of 700 new objects, Python walks them dozens of times in search of garbage.
    # `freeze` keeps a full collection from walking what was loaded by now, too.
    # docs/decisions/2026-11-28-board.md says what both save.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    uvicorn.run(
        app,
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
