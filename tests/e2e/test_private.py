"""A run of a file that another team keeps private looks like the first run of that file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_way import register
from tests.served import Served
from tests.workers import WorkerProcess


@pytest.mark.product
def test_a_run_does_not_tell_that_another_team_has_the_file(
    api: Served, start_worker: Callable[..., WorkerProcess], folder: Path, checkpoint: Path
) -> None:
    start_worker()
    register(api, folder)

    def run(team: str, model: str, **facts: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The answer to the upload, and the evaluation once it is done."""
        with api.client_of(team) as client:
            query = {"model": model, **facts}
            uploaded = client.put(
                "/v1/checkpoints/upload", params=query, content=checkpoint.read_bytes()
            ).json()
            body = {"checkpoint": uploaded["id"], "dataset": "small", "protocol": "light"}
            asked = client.post("/v1/evaluations", json=body)
            assert asked.status_code == 201, asked.text
        known = ("id", "team", "created_at", "uploaded_at")
        answer = {name: value for name, value in uploaded.items() if name not in known}
        return answer, api.follow(asked.json()["id"])

    _, first = run("aardvark", "quokka", private="true")
    answer, second = run("badger", "tiny")
    usual, third = run("cassowary", "tiny")
    assert answer == usual
    assert second["progress"] == third["progress"]
    assert second["scores"] == third["scores"] == first["scores"]
    own = second["progress"]["clips_total"]
    assert 0 < own == second["progress"]["clips_done"]
    assert own < first["progress"]["clips_total"]  # which had to make the control, too
    _, again = run("badger", "another name")
    assert again["progress"]["clips_total"] == 0  # of the own team, nothing is computed twice
