"""A database that another version filled, after all migrations: it reads as it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from records import migrate
from records.db import Database
from records.settings import Settings
from tests.databases import Databases
from tests.served import Served, serve
from tests.service.finished import compare_waiting

OLD = Path(__file__).parent / "old"  # old/make.py made what lies in it
ANSWERS: dict[str, Any] = json.loads((OLD / "e3ffe7a.json").read_text(encoding="utf-8"))
# What rows hold. Each version makes words, ranks, progress and intervals of differences by its own rules.
EVALUATION = (
    "id", "state", "reason", "checkpoint", "dataset", "protocol", "is_control", "scores",
    "unavailable", "warnings", "controls", "created_at", "started_at", "finished_at",
)  # fmt: skip
ROW = (
    "evaluation",
    "model",
    "team",
    "checkpoint",
    "backbone",
    "run",
    "step",
    "sha256",
    "finished_at",
    "scores",
)
DIFFERENCE = ("metric", "first", "second", "difference", "num_videos", "headline")


@pytest.fixture
def old(databases: Databases, settings: Settings) -> Iterator[Served]:
    """The service on the migrated dump."""
    url = databases.make("template0")
    database = Database(url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql((OLD / "e3ffe7a.sql").read_text(encoding="utf-8"))
    database.dispose()
    assert migrate.upgrade(url)[0].startswith("0009:")
    with serve(settings.model_copy(update={"database_url": SecretStr(url)})) as served:
        yield served


def read(api: Served, path: str) -> Any:
    answer = api.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def those(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names}


def said_before(start: str, end: str = "") -> dict[str, Any]:
    """What the old service answered at addresses that begin and end so."""
    found = {path: said for path, said in ANSWERS.items() if path.startswith(start) and path.endswith(end)}
    assert found
    return found


def within(old: Any, new: Any) -> bool:
    """Whether all that was said is still said; a newer version may say more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(name in new and within(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(within, old, new))
    return bool(old == new)


def test_evaluations_and_their_scores_read_as_before(old: Served) -> None:
    for path, before in said_before("/v1/evaluations/").items():
        if not path.endswith("/results"):
            now = read(old, path)
            for name in EVALUATION:
                assert within(before[name], now[name]), (name, before[name], now[name])


def test_old_evaluations_know_which_engine_made_them(old: Served) -> None:
    made_by = "planes-triangle-1/2/1/cloze,recognition,retrieval"  # features of version 2
    for path, before in said_before("/v1/evaluations/").items():
        if not path.endswith("/results"):
            now = read(old, path)
            assert now["engine"] == (made_by if before["state"] == "done" else "")
            assert now["older"]


def test_results_and_predictions_read_as_before(old: Served) -> None:
    for path, before in said_before("/v1/evaluations/", "/results").items():
        now = read(old, path)
        assert within(before, now), path


def test_boards_read_as_before_with_their_controls(old: Served) -> None:
    for path, before in said_before("/v1/leaderboard").items():
        now = read(old, path)
        assert now["total"] == before["total"] > 0
        assert now["older"]
        assert [those(row, ROW) for row in before["rows"]] == [
            {**those(row, ROW), "scores": _known(row["scores"], before["rows"][0]["scores"])}
            for row in now["rows"]
        ]
        assert len(now["controls"]) == len(before["controls"]) > 1
        by_evaluation = {control["evaluation"]: control for control in now["controls"]}
        for control in before["controls"]:
            assert within(control, by_evaluation[control["evaluation"]])


def _known(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Scores with the fields that there were."""
    return {metric: those(score, tuple(before[metric])) for metric, score in now.items()}


def test_old_evaluations_are_compared(old: Served) -> None:
    for path, before in said_before("/v1/comparisons").items():
        assert old.client.get(path).status_code == 202
        compare_waiting(old.database)
        now = read(old, path)
        assert [those(one, DIFFERENCE) for one in now["differences"]] == [
            those(one, DIFFERENCE) for one in before["differences"]
        ]


def test_pages_show_what_there_was(old: Served) -> None:
    assert old.client.get("/").status_code == 200
    for path in said_before("/v1/evaluations/"):
        if not path.endswith("/results"):
            assert old.client.get(path.removeprefix("/v1")).status_code == 200
    assert "first" in old.client.get("/models/default/first").text
