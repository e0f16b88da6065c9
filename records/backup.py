"""Back up an installation into a folder, and restore it from there.

backup.json          what the backup is: `Backup`; it is replaced last, so it always names a whole backup
rows-<id>/           the rows of each table as text (`COPY`), and objects.jsonl, a line for each object
objects/<sha256>     the objects that these rows name, by their hash: the same key may get other bytes later

A second backup into the same folder copies only the objects that are new. All rows are of one moment. The
service goes on meanwhile: objects do not change, and no sweep deletes objects before the backup has ended.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from records import migrate, sweep
from records.db import Database
from records.repositories import copies, locks
from records.repositories.copies import NamedObject
from records.storage import DamagedObject, Storage
from vcp_core.catalog.errors import StorageError, VcpbenchError
from vcp_core.catalog.files import sha256_of, whole, write_json

FORMAT = 1
FILE, OBJECTS, ROWS, LOCK, LISTED = "backup.json", "objects", "rows-", ".lock", "objects.jsonl"
CHUNK_BYTES = 1 << 20
MOST_TOLD = 3  # files that an error names
FEATURES = "features/"

OnProgress = Callable[[str, int, int], None]


def _ignore(stage: str, done: int, total: int) -> None:
    """Take progress that nobody wants to see."""


class BackupError(VcpbenchError):
    """A folder is no backup, a backup is damaged, or it does not fit into the installation."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a table.

    Attributes:
        columns: Names of the columns, in the order of the rows.
        sha256: Hash of the file.
    """

    columns: list[str]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object of a backup."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup.

    Attributes:
        format: Version of this layout.
        revision: Schema of the database.
        made_at: When the rows were read, in UTC.
        rows: Folder of the rows.
        tables: The tables; each comes after the tables that its rows refer to.
        listed_sha256: Hash of objects.jsonl.
        num_objects: Number of objects.
        num_bytes: Size of all objects.
        num_left_out: Objects that are not in the backup, because a worker can make them again: features
            that were not wanted, and what was missing or damaged in the store.
        lost: Keys of objects that were missing or damaged in the store, and that no worker can make.
    """

    format: int
    revision: str
    made_at: str
    rows: str
    tables: dict[str, Table]
    listed_sha256: str
    num_objects: int
    num_bytes: int
    num_left_out: int
    lost: list[str]


def back_up(
    database: Database,
    store: Storage,
    folder: Path,
    *,
    with_features: bool = True,
    on_progress: OnProgress = _ignore,
) -> Backup:
    """Back up the database, and all objects that its rows name.

    Args:
        database: Its schema must be the newest.
        store: The object store.
        folder: Made if it is missing. The objects of an earlier backup there are kept.
        with_features: Without them the backup is smaller, and workers make features again when an evaluation
            needs them.
        on_progress: Called with a stage, and what is done of how much.

    Raises:
        BackupError: If the folder holds other files, or another process backs up into it.
        SchemaError: If the schema is not the newest.
        StorageError: If the store is away, or the folder is full.
    """
    migrate.check(database)
    with _alone_in(folder), database.session() as held:
        locks.take(held, sweep.LOCK)  # otherwise a sweep could delete objects that are still to be copied
        rows = folder / f"{ROWS}{uuid4().hex[:12]}"
        rows.mkdir(mode=0o700)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        with database.session() as session:
            copies.freeze(session)
            tables = {}
            wanted = copies.tables()
            for number, (name, columns) in enumerate(wanted.items()):
                on_progress("tables", number, len(wanted))
                sha256 = _write(rows / name, copies.dump(session, name, columns))
                tables[name] = Table(columns=columns, sha256=sha256)
            on_progress("tables", len(wanted), len(wanted))
            named = list(copies.objects(session))
        kept = [one for one in named if with_features or not one.key.startswith(FEATURES)]
        copied = _Copied(store, folder / OBJECTS)
        for number, one in enumerate(kept):
            on_progress("objects", number, len(kept))
            copied.add(one)
        on_progress("objects", len(kept), len(kept))
        lines = (json.dumps(dataclasses.asdict(one)).encode() + b"\n" for one in copied.stored)
        made = Backup(
            format=FORMAT,
            revision=migrate.newest(),
            made_at=made_at,
            rows=rows.name,
            tables=tables,
            listed_sha256=_write(rows / LISTED, lines),
            num_objects=len(copied.stored),
            num_bytes=sum(one.size_bytes for one in copied.stored),
            num_left_out=len(named) - len(kept) + copied.num_left_out,
            lost=copied.lost,
        )
        os.sync()  # the rows and objects are on the disk before backup.json names them
        write_json(folder / FILE, dataclasses.asdict(made), mode=0o600)
        _forget_others(folder, made, {one.sha256 for one in copied.stored})
    return made


class _Copied:
    """Objects that are copied into a backup.

    Attributes:
        stored: The objects that the backup holds.
        num_left_out: How many are missing or damaged in the store, though a worker can make them.
        lost: Keys of the others that are missing or damaged.
    """

    def __init__(self, store: Storage, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.stored: list[Stored] = []
        self.num_left_out, self.lost = 0, list[str]()

    def add(self, one: NamedObject) -> None:
        """Copy an object, unless an earlier backup holds its bytes already."""
        try:
            sha256 = one.sha256
            if sha256 is None or not (self._folder / sha256).is_file():
                sha256 = self._copy(one)
            size = (self._folder / sha256).stat().st_size
            self.stored.append(Stored(key=one.key, size_bytes=size, sha256=sha256))
        except DamagedObject:
            if one.can_be_made:
                self.num_left_out += 1
            else:
                self.lost.append(one.key)

    def _copy(self, one: NamedObject) -> str:
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            found = self._store.fetch(one.key, Path(scratch), sha256=one.sha256)
            sha256 = one.sha256 or sha256_of(found)
            with whole(self._folder / sha256, mode=0o600) as part:
                shutil.copyfile(found, part)
        return sha256


def read(folder: Path) -> Backup:
    """Read what a backup is. `verify` compares its files with the hashes.

    Raises:
        BackupError: If the folder holds no backup, or one of a newer layout.
    """
    try:
        said: dict[str, Any] = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no backup: it has no {FILE}.") from None
    except (OSError, ValueError) as error:
        raise BackupError(f"{folder / FILE} cannot be read: {error}") from error
    if said.get("format") != FORMAT:
        raise BackupError(f"{folder} was made by another version of vcpbench. Restore it with that version.")
    return Backup(**{**said, "tables": {name: Table(**table) for name, table in said["tables"].items()}})


def verify(folder: Path, made: Backup, on_progress: OnProgress = _ignore) -> list[Stored]:
    """Compare every file of a backup with its hash, and return the objects.

    Raises:
        BackupError: If a file is missing or damaged. The error names the first.
    """
    hashes = {f"{made.rows}/{name}": table.sha256 for name, table in made.tables.items()}
    hashes[f"{made.rows}/{LISTED}"] = made.listed_sha256
    _compare(folder, hashes, "tables", on_progress)
    lines = (folder / made.rows / LISTED).read_text(encoding="utf-8").splitlines()
    stored = [Stored(**json.loads(line)) for line in lines]
    _compare(folder, {f"{OBJECTS}/{one.sha256}": one.sha256 for one in stored}, "verifying", on_progress)
    return stored


def restore(
    url: str,
    store: Storage,
    folder: Path,
    *,
    on_progress: OnProgress = _ignore,
) -> Backup:
    """Restore a backup into an empty installation. The database takes all rows or none.

    Args:
        url: Address of the database. It may have a schema, and tokens, but no checkpoint.
        store: The object store: the same as before or another, of whatever kind.
        folder: The backup.
        on_progress: As for `back_up`.

    Raises:
        BackupError: If the backup is damaged, or the installation is not empty. Nothing has changed then.
        SchemaError: If the backup has a newer schema than this version of vcpbench.
        StorageError: If the store is away or full.
    """
    made = read(folder)
    stored = verify(folder, made, on_progress)
    database = Database(url)
    try:
        with database.session() as session:
            number = copies.num_checkpoints(session)
        if number:
            raise BackupError(
                f"The database holds {number} checkpoints. A backup is restored into an empty one. "
                "Make a new database, and name it in VCPBENCH_DATABASE_URL."
            )
        migrate.move_to(url, made.revision)
        for done, one in enumerate(stored):
            on_progress("objects", done, len(stored))
            store.put_file(one.key, folder / OBJECTS / one.sha256)  # what has the key may be damaged
        on_progress("objects", len(stored), len(stored))
        with database.session() as session:
            copies.clear(session, made.tables)
            for name, table in made.tables.items():
                copies.fill(session, name, table.columns, _chunks(folder / made.rows / name))
    finally:
        database.dispose()
    migrate.upgrade(url)
    return made


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder of a backup, made if it is missing.

    Raises:
        BackupError: If another process holds it, or it holds other files.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    others = [path.name for path in folder.iterdir() if path.name not in (FILE, OBJECTS, LOCK)]
    if found := [name for name in others if not name.startswith(ROWS)]:
        raise BackupError(
            f"{folder} holds other files ({found[0]}). Name an empty folder, or one of a backup."
        )
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"Another process backs up into {folder}. Wait until it has ended.") from None
        (folder / OBJECTS).mkdir(exist_ok=True)
        yield


def _forget_others(folder: Path, made: Backup, hashes: set[str]) -> None:
    """Delete the rows of earlier backups, and objects that no row of this one names."""
    for path in folder.glob(f"{ROWS}*"):
        if path.name != made.rows:
            shutil.rmtree(path)
    for path in (folder / OBJECTS).iterdir():
        if path.name not in hashes:
            shutil.rmtree(path) if path.is_dir() else path.unlink()  # a folder of a backup that was killed


def _write(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file, and return its hash."""
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        raise StorageError(path, f" cannot be written: {error.strerror}.") from error
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _compare(folder: Path, hashes: dict[str, str], stage: str, on_progress: OnProgress) -> None:
    bad = []
    for number, (name, sha256) in enumerate(hashes.items()):
        on_progress(stage, number, len(hashes))
        path = folder / name
        if not path.is_file():
            bad.append(f"{name} is missing")
        elif sha256_of(path) != sha256:
            bad.append(f"{name} is damaged")
    on_progress(stage, len(hashes), len(hashes))
    if bad:
        more = f", and {len(bad) - MOST_TOLD} more" if len(bad) > MOST_TOLD else ""
        raise BackupError(
            f"The backup in {folder} is not whole: {', '.join(bad[:MOST_TOLD])}{more}. Take "
            "another backup. Or delete the damaged files and back up into this folder again: what is missing "
            "is copied anew."
        )
