"""Tokens of a version without roles, and back again."""

from __future__ import annotations

from alembic import command
from sqlalchemy import text

from records import migrate
from records.db import Database
from tests.databases import Databases


def test_tokens_of_before_keep_their_rights_and_a_reader_gets_none_when_roles_go(
    databases: Databases,
) -> None:
    empty = databases.make("template0")
    command.upgrade(migrate.config(empty), "0028")
    found = Database(empty)
    before = (
        "INSERT INTO token (id, name, team, admin, secret_sha256) VALUES (gen_random_uuid(), {}, 'a', {}, {})"
    )
    with found.session() as session:
        session.execute(text(before.format("'ops'", "true", "'1'")))
        session.execute(text(before.format("'ci'", "false", "'2'")))
    command.upgrade(migrate.config(empty), "0030")
    with found.session() as session:
        rows = session.execute(text("SELECT name, role, owner, expires_at FROM token ORDER BY name")).all()
        assert [tuple(row) for row in rows] == [
            ("ci", "submitter", "ci", None),
            ("ops", "admin", "ops", None),
        ]
        session.execute(
            text(
                "INSERT INTO token (id, name, team, role, owner, secret_sha256, expires_at) VALUES "
                "(gen_random_uuid(), 'guest', 'a', 'reader', 'x', '3', NULL), "
                "(gen_random_uuid(), 'short', 'a', 'admin', 'x', '4', clock_timestamp())"
            )
        )
    command.downgrade(migrate.config(empty), "0028")
    with found.session() as session:
        rows = session.execute(text("SELECT name, admin, revoked_at IS NULL FROM token ORDER BY name")).all()
    found.dispose()
    assert [tuple(row) for row in rows] == [
        ("ci", False, True),
        ("guest", False, False),
        ("ops", True, True),
        ("short", True, False),
    ]
