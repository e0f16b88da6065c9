"""Advisory locks: taken by name, held until the transaction ends, and asserted where they are relied on.

`expect` asks the session, not the database. It costs nothing, so every function that relies on a lock calls
it.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session, SessionTransaction

_HELD = "locks"  # key of Session.info: the transaction that took each lock


class LockNotHeld(RuntimeError):
    """A function was called without the lock that it relies on: a fault of the program."""


def take(session: Session, name: str) -> None:
    """Wait for a lock, and hold it until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
    _note(session, name)


def take_shared(session: Session, name: str) -> None:
    """Wait until nobody holds a lock alone, and share it until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock_shared(hashtext(:name))"), {"name": name})


def try_take(session: Session, name: str) -> bool:
    """Hold a lock until the transaction ends; False if another process has it."""
    query = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
    taken = bool(session.scalar(query, {"name": name}))
    if taken:
        _note(session, name)
    return taken


def expect(session: Session, name: str) -> None:
    """Make sure that this transaction holds a lock.

    Raises:
        LockNotHeld: If it does not.
    """
    held: dict[str, SessionTransaction | None] = session.info.get(_HELD, {})
    current = session.get_transaction()
    if current is None or held.get(name) is not current:
        raise LockNotHeld(f"This transaction does not hold the lock {name!r}.")


def _note(session: Session, name: str) -> None:
    session.info.setdefault(_HELD, {})[name] = session.get_transaction()
