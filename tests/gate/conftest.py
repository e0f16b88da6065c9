"""The client's fixtures serve the gate, too."""

from __future__ import annotations

from tests.client.conftest import client, hands, line, nobody, run

__all__ = ["client", "hands", "line", "nobody", "run"]
