"""Whether the service is well, and whether it can take work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from records.db import NOW
from records.models import Worker
from records.settings import Settings
from tests import patience
from tests.served import Served
from tests.service.kit import in_thread, problem_of


def test_a_service_that_reaches_database_and_store_is_ready(api: Served) -> None:
    assert api.client.get("/readyz").json() == {
        "status": "ready",
        "workers": {"cpu": 0, "gpu": 0},
        "lacking_walls": [],
    }
    with api.database.session() as session:
        for name, queues, lacking in (
            ("a", ["cpu", "gpu"], {"landlock": "Function not implemented"}),
            ("b", ["cpu"], {"landlock": "Function not implemented", "decoding": "x"}),
        ):
            session.add(Worker(name=name, queues=queues, device="cpu", seen_at=NOW, lacking_walls=lacking))
    assert api.client.get("/readyz").json() == {
        "status": "ready",
        "workers": {"cpu": 2, "gpu": 1},
        "lacking_walls": ["decoding", "landlock"],
    }


def test_each_response_says_how_long_it_took(api: Served) -> None:
    for path in ("/readyz", "/evaluations", "/v1/nothing"):
        name, _, milliseconds = api.client.get(path).headers["Server-Timing"].partition(";dur=")
        assert name == "total"
        assert float(milliseconds) > 0


def test_a_service_whose_store_is_away_is_well_and_not_ready(
    api: Served, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    assert settings.store_url == f"file://{folder}"
    folder.rename(tmp_path / "unmounted")
    found = problem_of(api.client.get("/readyz"), 503)
    assert found["type"] == "urn:vcpbench:store-away"
    assert api.client.get("/v1/health").status_code == 200
    (tmp_path / "unmounted").rename(folder)
    assert api.client.get("/readyz").status_code == 200


def test_requests_that_come_while_the_store_is_slow_wait_in_one_thread(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, go_on = [], threading.Event()

    def slow() -> None:
        looks.append(1)
        go_on.wait(patience.DEADLINE_S)

    monkeypatch.setattr(api.app.state.storage, "check", slow)
    asked = [in_thread(lambda: api.client.get("/readyz")) for _ in range(20)]
    patience.until(lambda: len(api.server.server_state.tasks) == len(asked))
    assert api.client.get("/v1/health").status_code == 200
    go_on.set()
    assert {one().status_code for one in asked} == {200}
    assert len(looks) == 1
