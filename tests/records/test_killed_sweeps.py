"""A deletion and a sweep that are killed at any step leave no dangling row, and no orphan for long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from bench.consistency import dangling, num_orphans
from records import sweep
from records.db import NOW, Database
from records.models import Checkpoint, Evaluation, Shard
from records.settings import Settings
from records.storage import Storage
from tests import stored
from tests.dying import LIMITS, VERSION, Forks
from tests.patience import until

LEAST_STEPS = 30  # of a deletion and a sweep; with fewer, the test would look at nothing
MOST_STEPS = 100  # without it, the test never ends if each sweep takes more steps than the last


@pytest.fixture
def forks() -> Iterator[Forks]:
    found = Forks()
    yield found
    found.close()


@pytest.mark.product
@pytest.mark.long
def test_a_deletion_and_a_sweep_may_be_killed_at_any_step(
    database: Database, settings: Settings, forks: Forks
) -> None:
    store = Storage(settings.store_url)
    url = settings.database_url.get_secret_value()
    step, was_killed = 0, True
    while was_killed:
        step += 1
        assert step < MOST_STEPS, "each sweep takes more steps than the last"
        world = stored.make(database, store, f"videos-{step}")
        with database.session() as session:
            past = NOW - timedelta(days=31)
            old = Shard.id.in_([world.own, world.of_control])
            session.execute(update(Shard).where(old).values(used_at=past))
            session.add(
                stored.media(store, session.get_one(Evaluation, world.control).dataset, unused_days=31)
            )
        was_killed = forks.attempt(
            database_url=url, store_url=settings.store_url, checkpoint=world.ours, step=step
        )
        assert dangling(database, store) == [], step
        with database.session() as session:
            is_there = session.get(Checkpoint, world.ours) is not None
            assert is_there == (session.get(Evaluation, world.evaluations[0]) is not None), (
                step
            )  # all or none
        # PostgreSQL may still hold the lock of the process that was killed.
        until(lambda: sweep.run(database, store, LIMITS, map_version=VERSION, min_age_s=0.0) is not None)
        assert num_orphans(database, store) == 0, step
        assert dangling(database, store) == [], step
        assert store.exists(f"manifests/{world.dataset}.json")
    assert step > LEAST_STEPS
