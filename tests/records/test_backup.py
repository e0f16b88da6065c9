"""A backup of an installation, and its restore into another one."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, update

from records import migrate
from records.backup import FILE, LOCK, Backup, BackupError, back_up, read, restore, verify
from records.db import Database
from records.migrate import SchemaError
from records.models import Checkpoint, DatasetRow, Token
from records.repositories import copies
from records.settings import Settings
from records.storage import Storage, checkpoint_key, manifest_key, weights_key
from tests.databases import Databases
from tests.s3 import s3
from tests.served import Served, serve, settings_in
from tests.service.finished import ready_dataset
from tests.stack.kit import VCPBENCH
from tests.web import played
from tests.workers import environment

BOARD = {"dataset": "playground", "protocol": "standard-v1"}
UPLOADED = b"a file as uploaded"
WEIGHTS = b"canonical weights"
SHA256, WEIGHTS_SHA256 = (hashlib.sha256(content).hexdigest() for content in (UPLOADED, WEIGHTS))


@pytest.fixture
def filled(api: Served, settings: Settings) -> Storage:
    """The store of an installation with evaluations on a board, and three objects that rows name."""
    store = Storage(settings.store_url)
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        dataset.manifest_sha256 = hashlib.sha256(b"{}").hexdigest()
        store.put_bytes(manifest_key(dataset.id), b"{}")
        for seed in (1, 2):
            played.finished(session, dataset, f"r3d-{seed}", seed=seed, skill=0.3 * seed, step=seed)
        session.execute(update(Checkpoint).values(sha256=SHA256, weights_sha256=WEIGHTS_SHA256))
    store.put_bytes(checkpoint_key(SHA256), UPLOADED)
    store.put_bytes(weights_key(WEIGHTS_SHA256), WEIGHTS)
    return store


@pytest.fixture
def other(databases: Databases, settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of another, empty installation."""
    with databases.lend() as url:
        broker = settings.broker_url.get_secret_value()
        yield settings_in(tmp_path / "other", url, broker, max_upload_bytes=1_000_000)


def url_of(settings: Settings) -> str:
    return settings.database_url.get_secret_value()


def board(api: Served) -> bytes:
    """The bytes of the board as its readers get them."""
    answer = api.client.get("/v1/leaderboard", params=BOARD)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_restored_installation_has_the_same_board_to_the_byte_and_the_same_objects(
    api: Served, filled: Storage, other: Settings, tmp_path: Path
) -> None:
    made = back_up(api.database, filled, tmp_path / "backup")
    assert (made.num_objects, made.num_left_out, made.lost) == (3, 0, [])
    elsewhere = Storage(other.store_url)
    assert restore(url_of(other), elsewhere, tmp_path / "backup") == made
    assert set(elsewhere.keys("")) == set(filled.keys(""))
    assert elsewhere.get_bytes(weights_key(WEIGHTS_SHA256), sha256=WEIGHTS_SHA256) == WEIGHTS
    with serve(other) as restored:
        restored.client.headers = api.client.headers  # its tokens are those of the first
        assert board(restored) == board(api)


def test_a_backup_goes_from_a_folder_to_s3_and_back(
    api: Served, filled: Storage, other: Settings, databases: Databases, tmp_path: Path
) -> None:
    back_up(api.database, filled, tmp_path / "first")
    with pytest.MonkeyPatch.context() as patch, s3(tmp_path / "s3", patch) as url:
        remote = Storage(url)
        restore(url_of(other), remote, tmp_path / "first")
        database = Database(url_of(other))
        second = back_up(database, remote, tmp_path / "second")
        database.dispose()
        assert sorted(remote.keys("")) == sorted(filled.keys(""))
    with databases.lend() as third:
        local = settings_in(
            tmp_path / "third", third, other.broker_url.get_secret_value(), max_upload_bytes=1
        )
        back = Storage(local.store_url)
        assert restore(third, back, tmp_path / "second") == second
        assert {key: back.get_bytes(key) for key in back.keys("")} == {
            key: filled.get_bytes(key) for key in filled.keys("")
        }
        with serve(local) as restored:
            restored.client.headers = api.client.headers
            assert board(restored) == board(api)


def test_a_second_backup_copies_only_new_objects_and_forgets_old_rows(
    api: Served, filled: Storage, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    first = back_up(api.database, filled, folder)
    kept = folder / "objects" / SHA256
    before = kept.stat().st_mtime_ns
    with api.database.session() as session:
        dataset = session.scalars(select(DatasetRow)).one()
        filled.delete(manifest_key(dataset.id))
        dataset.manifest_sha256 = hashlib.sha256(b"[]").hexdigest()
        filled.put_bytes(manifest_key(dataset.id), b"[]")
    second = back_up(api.database, filled, folder)
    assert kept.stat().st_mtime_ns == before
    assert second.rows != first.rows
    assert [path.name for path in folder.glob("rows-*")] == [second.rows]
    verify(folder, read(folder))


def test_features_can_be_left_out_and_lost_objects_are_told(
    api: Served, filled: Storage, tmp_path: Path
) -> None:
    filled.delete(checkpoint_key(SHA256), weights_key(WEIGHTS_SHA256))
    made = back_up(api.database, filled, tmp_path / "backup", with_features=False)
    assert made.lost == [checkpoint_key(SHA256)]  # weights can be made from an upload, but no upload can
    assert (made.num_objects, made.num_left_out) == (1, 1)


@pytest.mark.parametrize("part", ["object", "table", "list"])
def test_a_damaged_backup_changes_nothing(
    api: Served, filled: Storage, other: Settings, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "backup"
    made = back_up(api.database, filled, folder)
    path = {
        "object": folder / "objects" / SHA256,
        "table": folder / made.rows / "evaluation",
        "list": folder / made.rows / "objects.jsonl",
    }[part]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BackupError, match=f"not whole: .*{path.name} is damaged"):
        restore(url_of(other), Storage(other.store_url), folder)
    assert list(Storage(other.store_url).keys("")) == []
    database = Database(url_of(other))
    with database.session() as session:
        assert [*session.scalars(select(Checkpoint)), *session.scalars(select(Token))] == []
    database.dispose()


def test_an_installation_with_checkpoints_is_left_alone(
    api: Served, filled: Storage, settings: Settings, tmp_path: Path
) -> None:
    back_up(api.database, filled, tmp_path / "backup")
    with pytest.raises(BackupError, match=r"holds 2 checkpoints\. A backup is restored into an empty one"):
        restore(url_of(settings), filled, tmp_path / "backup")


def back_up_by_the_version_before(api: Served, settings: Settings, store: Storage, folder: Path) -> Backup:
    """Downgrade the database by one step, and back it up as the version before did."""
    with api.database.session() as session:
        named = list(copies.objects(session))
    command.downgrade(migrate.config(url_of(settings)), "-1")
    with api.database.session() as session:
        connection = session.connection()
        revision = MigrationContext.configure(connection).get_current_revision()
        found = inspect(connection)
        tables = {
            name: [column["name"] for column in found.get_columns(name)]
            for name in copies.tables()
            if found.has_table(name)
        }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "check", lambda database: None)
        patch.setattr(migrate, "newest", lambda: revision)
        patch.setattr(copies, "tables", lambda: tables)
        patch.setattr(copies, "objects", lambda session: named)
        return back_up(api.database, store, folder)


@pytest.mark.parametrize("schema", ["base", "head"])
def test_a_backup_of_the_version_before_gets_the_newest_schema_and_keeps_its_rows(
    api: Served, filled: Storage, settings: Settings, other: Settings, tmp_path: Path, schema: str
) -> None:
    before = board(api)
    made = back_up_by_the_version_before(api, settings, filled, tmp_path / "backup")
    assert made.revision < migrate.newest()
    if schema == "base":
        command.downgrade(migrate.config(url_of(other)), "base")
    assert restore(url_of(other), Storage(other.store_url), tmp_path / "backup") == made
    with serve(other) as restored:
        migrate.check(restored.database)
        restored.client.headers = api.client.headers
        assert board(restored) == before


def test_a_backup_of_a_newer_version_is_refused(
    api: Served, filled: Storage, other: Settings, tmp_path: Path
) -> None:
    back_up(api.database, filled, tmp_path / "backup")
    path = tmp_path / "backup" / FILE
    said: dict[str, Any] = json.loads(path.read_bytes())
    path.write_text(json.dumps({**said, "revision": "9999"}))
    with pytest.raises(SchemaError, match="Update vcpbench"):
        restore(url_of(other), Storage(other.store_url), tmp_path / "backup")
    path.write_text(json.dumps({**said, "format": 2}))
    with pytest.raises(BackupError, match="another version"):
        read(tmp_path / "backup")


def test_the_commands_print_what_a_backup_holds(
    api: Served, filled: Storage, settings: Settings, other: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"

    def run(here: Settings, *words: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, **environment(here)}
        return subprocess.run([VCPBENCH, *words], env=variables, capture_output=True, text=True, check=False)

    backed_up = run(settings, "backup", str(folder))
    assert backed_up.returncode == 0, backed_up.stderr
    assert "3 objects (0.00 GB). Restore it: vcpbench restore" in backed_up.stdout
    checked = run(other, "restore", str(folder), "--dry-run")
    assert "is whole. It holds the database of" in checked.stdout, checked.stderr
    restored = run(other, "restore", str(folder), "--json")
    assert json.loads(restored.stdout)["num_objects"] == 3, restored.stderr
    again = run(other, "restore", str(folder))
    assert again.returncode == 2
    assert "The database holds 2 checkpoints." in again.stderr
    filled.delete(checkpoint_key(SHA256))
    lossy = run(settings, "backup", str(tmp_path / "new"))
    assert lossy.returncode == 1
    assert f"checkpoints/{SHA256} is missing or damaged in the store" in lossy.stderr


def test_a_folder_with_other_files_and_one_in_use_are_refused(
    api: Served, filled: Storage, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BackupError, match=r"holds other files \(thesis.tex\)"):
        back_up(api.database, filled, tmp_path / "mine")
    with pytest.raises(BackupError, match=r"holds no backup: it has no backup.json"):
        read(tmp_path / "mine")
    back_up(api.database, filled, tmp_path / "backup")
    with (tmp_path / "backup" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="Another process backs up"):
            back_up(api.database, filled, tmp_path / "backup")
