"""Locks are held where they are relied on: a function that needs one refuses to run without it."""

from __future__ import annotations

import inspect
from types import FunctionType
from uuid import uuid4

import pytest
from sqlalchemy import text

from records import flow
from records.db import Database
from records.models import Model
from records.repositories import checkpoints, locks
from records.repositories.locks import LockNotHeld

pytestmark = pytest.mark.slow

CHANGES = [
    function
    for name, function in vars(flow).items()
    if isinstance(function, FunctionType)
    and function.__module__ == flow.__name__
    and not name.startswith("_")
    and function is not flow.lock
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_no_state_changes_without_the_flows_lock(change: FunctionType, database: Database) -> None:
    others = [None] * (len(inspect.signature(change).parameters) - 1)
    with database.session() as session, pytest.raises(LockNotHeld, match=r"'vcpbench\.flow'"):
        change(
            session, *others[:4], **({"team": "a"} if change.__name__.startswith("find_or_create") else {})
        )


def test_the_flow_has_functions_to_guard() -> None:
    assert {"find_or_create", "advance", "planned", "scored", "fail", "cancel", "job_failed"} <= {
        change.__name__ for change in CHANGES
    }


def test_a_lock_is_postgresqls_and_ends_with_its_transaction(database: Database) -> None:
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    with database.session() as session:
        locks.take(session, "a")
        locks.expect(session, "a")
        assert session.scalar(held) == 1
        with pytest.raises(LockNotHeld, match="'b'"):
            locks.expect(session, "b")
        with database.session() as other:
            assert not locks.try_take(other, "a")
            with pytest.raises(LockNotHeld):
                locks.expect(other, "a")
        with session.begin_nested():
            locks.expect(session, "a")  # a savepoint is a part of the transaction
        session.commit()
        with pytest.raises(LockNotHeld):
            locks.expect(session, "a")
    with database.session() as later:
        assert later.scalar(held) == 0
        assert locks.try_take(later, "a")


def test_uploads_and_models_are_guarded_too(database: Database) -> None:
    with database.session() as session:
        model = Model(team="a", name="m")
        session.add(model)
        session.flush()
        with pytest.raises(LockNotHeld, match=r"vcpbench\.model\."):
            checkpoints.same(session, model, "0" * 64)
        with pytest.raises(LockNotHeld, match=r"vcpbench\.upload\."):
            checkpoints.forget_unfinished(session, uuid4(), 1.0)
