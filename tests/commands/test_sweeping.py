"""`vcpbench admin sweep`, on the installation that the variables name."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from records import sweep
from records.db import Database
from records.repositories import locks
from records.settings import Settings
from records.storage import Storage
from stack.commands.sweeping import app
from tests import stored
from tests.workers import environment

ORPHAN = "media/" + 64 * "a"


@pytest.fixture
def store(settings: Settings, database: Database) -> Storage:
    found = Storage(settings.store_url)
    stored.make(database, found)
    found.put_bytes(ORPHAN, b"x")
    return found


def run(settings: Settings, *words: str, **more: str) -> Result:
    return CliRunner().invoke(app, ["sweep", *words], env={**environment(settings), **more})


def test_a_dry_run_says_what_would_go_and_a_sweep_deletes_it(settings: Settings, store: Storage) -> None:
    would = run(settings, "--dry-run", "--min-age-s", "0")
    assert "       1 media that no row names" in would.stdout
    assert "would go." in would.stdout
    assert store.exists(ORPHAN)
    did = json.loads(run(settings, "--min-age-s", "0", "--json").stdout)
    assert did["freed"]["media that no row names"] == {"count": 1, "size_bytes": 1}
    assert not store.exists(ORPHAN)
    young = run(settings)
    assert young.exit_code == 0
    assert "0.0 MB went." in young.stdout


def test_variables_say_how_much_is_kept(settings: Settings, store: Storage) -> None:
    found = run(settings, "--dry-run", "--json", VCPBENCH_FEATURES_GIB="0.000000001")
    assert json.loads(found.stdout)["freed"]["features"]["count"] == 4


def test_a_second_sweep_at_the_same_time_says_so(
    settings: Settings, store: Storage, database: Database
) -> None:
    with database.session() as held:
        assert locks.try_take(held, sweep.LOCK)
        found = run(settings)
    assert found.exit_code == 1
    assert "Try again later" in found.stderr
