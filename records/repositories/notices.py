"""Listen to the notices that changes send (`records.repositories.events`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from psycopg import AsyncConnection, sql

from records.db import CONNECT_TIMEOUT_S, TCP, driver_url
from records.repositories.events import CHANNEL

LISTENING = ""  # the first notice of a connection: from now on, no notice is missed


async def listen(database_url: str) -> AsyncGenerator[str]:
    """Yield notices from a connection of its own: `LISTENING` first.

    Raises:
        psycopg.Error: If there is no connection, or it breaks. Notices are then missed.
    """
    url = driver_url(database_url).replace("+psycopg", "", 1)  # libpq knows no drivers
    options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **TCP}
    async with await AsyncConnection.connect(url, autocommit=True, **options) as listening:
        await listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        yield LISTENING
        async for notice in listening.notifies():
            yield notice.payload
