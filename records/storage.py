"""Objects by key: a local folder or S3, by one URL. Everything is whole or not there.

What was stored stays when the power fails: obstore does not sync what it writes into a folder, so this does
(measured on an ext4 disk: 12 ms an object of 20 kB, where 0.1 ms were none).

uploads/<checkpoint id>/<part id>      bytes on their way in; gone once the checkpoint is whole
uploads/<random id>                    likewise, of an upload in one go, or of any object in a local folder
checkpoints/<sha256>                   files as they came; only the sandbox opens them
weights/<sha256>.safetensors           canonical weights
manifests/<dataset id>.json            videos of a dataset
features/<hash>.safetensors, .json     of one shard, and how they were made; the hash is over all that
                                       determines them
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from vcp_core.catalog.errors import Private, StorageError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

CHUNK_BYTES = 8 << 20
CHUNKS_AT_ONCE = 2  # on their way to the store, of one upload; obstore's own 12 hold 100 MB each
STAGED = re.compile(r"#\d+$")  # end of a file's name in a folder, in obstore's words, until it is whole
# By itself obstore tries for three minutes: longer than whoever sent a request waits for its answer.
RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=10)}
AWAY = re.compile(r"^Generic S3 error: .*(HTTP error|status code: (5\d\d|429))")  # in obstore's words


class StoreAway(StorageError):
    """A store that is not answering, or says to come back later."""


class Storage:
    """An object store.

    Args:
        url: `file:///folder` (made if it is not there) or `s3://bucket/prefix`.

    Raises:
        StorageError: If the URL is of no store that we know, or the folder cannot be made.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.store: ObjectStore
        self._folder: Path | None = None
        with _told(url):
            if parts.scheme == "file":
                self._folder = Path(unquote(parts.path))
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.store = LocalStore(self._folder)
            elif parts.scheme == "s3":
                self.store = from_url(url, retry_config=RETRIES)
            else:
                raise StorageError(f"{url}: not a store. Try file:///folder or s3://bucket/prefix.")

    def put_file(self, key: str, path: Path) -> None:
        """Store a file's bytes; an object of that key is replaced.

        Raises:
            StoreAway: If the store cannot be reached just now; so does every other method.
            StorageError: If it is full, or fails.
        """
        with _told(key), path.open("rb") as file:
            self._put(key, file)

    def put_file_once(self, key: str, path: Path) -> bool:
        """Store a file's bytes unless there is an object of that key, which stays; whether it was new.

        A store that ignores `If-None-Match: *` replaces it, so look first.

        Raises:
            StorageError: As `put_file`.
        """
        with _told(key), path.open("rb") as file:
            try:
                self._put(key, file, once=True)
            except AlreadyExistsError:
                return False
            return True

    def put_bytes(self, key: str, content: bytes) -> None:
        """Store bytes; as `put_file`."""
        with _told(key):
            self._put(key, content)

    def _put(self, key: str, content: IO[bytes] | bytes, *, once: bool = False) -> None:
        if self._folder is None:
            obstore.put(self.store, key, content, mode="create" if once else "overwrite")
            return
        # Under its own name only once it is on the disk: a name with no bytes behind it looks like an object.
        staged = f"uploads/{uuid4()}"
        try:
            obstore.put(self.store, staged, content)
            _sync(self._folder / staged)
            obstore.copy(self.store, staged, key, overwrite=not once)  # a hard link, or a copy
            self._settle(key)
        finally:
            self.delete(staged)

    def _settle(self, key: str) -> None:
        """Have an object in a local folder, and the names that lead to it, on the disk."""
        if self._folder is not None:
            path = self._folder / key
            _sync(path)
            for folder in path.parents[: len(path.relative_to(self._folder).parts)]:
                _sync(folder)

    def get_bytes(self, key: str) -> bytes:
        """An object's bytes.

        Raises:
            StorageError: If it is not there, or the store cannot be reached.
        """
        with _told(key):
            return bytes(obstore.get(self.store, key).bytes())

    def fetch(self, key: str, folder: Path) -> Path:
        """A file with the object's bytes, not to be changed: in the store itself, or a copy in `folder`.

        Raises:
            StorageError: As `get_bytes`, or if `folder` is full.
        """
        if self._folder is not None:
            path = self._folder / key
            if not path.is_file():
                raise StorageError(f"{key}: not in the store.")
            return path
        copy = folder / key.replace("/", "_")
        if not copy.exists():
            part = copy.with_name(copy.name + ".part")
            with _told(key), part.open("wb") as file:
                for chunk in obstore.get(self.store, key).stream(CHUNK_BYTES):
                    file.write(chunk)
            part.replace(copy)
        return copy

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with _told(key):
            try:
                obstore.head(self.store, key)
            except FileNotFoundError:
                return False
            return True

    def move(self, key: str, new_key: str) -> None:
        """Rename an object; one of the new name is replaced."""
        with _told(key):
            obstore.rename(self.store, key, new_key)
            self._settle(new_key)

    def delete(self, *keys: str) -> None:
        """Delete objects; those that are not there are no error."""
        for key in keys:
            with _told(key):
                try:
                    obstore.delete(self.store, key)
                except FileNotFoundError:
                    continue

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with a folder's name."""
        with _told(prefix):
            for batch in obstore.list(self.store, prefix):
                yield from (str(found["path"]) for found in batch)

    def older(self, prefix: str, age_s: float) -> Iterator[str]:
        """Keys below a folder that were written longer ago than that."""
        since = datetime.now(UTC) - timedelta(seconds=age_s)
        with _told(prefix):
            for batch in obstore.list(self.store, prefix):
                yield from (str(found["path"]) for found in batch if found["last_modified"] < since)

    def forget_staged(self, age_s: float) -> None:
        """Remove what a process that was killed had begun to write into a local folder; no list shows it."""
        if self._folder is not None:
            since = time.time() - age_s
            with _told("staged files"):
                for path in self._folder.rglob("*#*"):
                    if STAGED.search(path.name):
                        with suppress(
                            FileNotFoundError
                        ):  # whole by now, or given up: both take the name away
                            if path.stat().st_mtime < since:
                                path.unlink()

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object's bytes, a few megabytes at a time."""
        with _told(key):
            found = await obstore.get_async(self.store, key)
            async for chunk in found.stream(CHUNK_BYTES):
                yield bytes(chunk)

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[obstore.AsyncWritableFile]:
        """An asynchronous writer for one object; nothing is stored until the block ends well.

        Raises:
            StorageError: If the store is full or cannot be reached.
        """
        with _told(key):
            async with obstore.open_writer_async(
                self.store, key, buffer_size=CHUNK_BYTES, max_concurrency=CHUNKS_AT_ONCE
            ) as writer:
                yield writer
            await asyncio.to_thread(self._settle, key)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the store as ours, in one line."""
    try:
        yield
    except (OSError, BaseError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # obstore has one class for all of these, and its writers raise a plain OSError without a number.
        full = "No space left" in str(error) or "StorageFull" in str(error)
        kind = StoreAway if AWAY.search(first) else StorageError
        said = "the disk is full" if full else Private(first, "operators see why in the log")
        raise kind(f"{what}: the object store failed: ", said, full=full) from error


def checkpoint_key(sha256: str) -> str:
    """Of a file as it came."""
    return f"checkpoints/{sha256}"


def weights_key(sha256: str) -> str:
    """Of canonical weights."""
    return f"weights/{sha256}.safetensors"


def manifest_key(dataset_id: UUID) -> str:
    """Of a dataset's videos."""
    return f"manifests/{dataset_id}.json"


def features_key(digest: str) -> str:
    """Of a shard's features."""
    return f"features/{digest}.safetensors"


def facts_key(features_key: str) -> str:
    """Of how a shard's features were made."""
    return features_key.removesuffix(".safetensors") + ".json"
