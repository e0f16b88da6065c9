"""Objects by key, in a local folder or in S3. An object is either complete or absent.

A stored object survives a power failure. obstore does not sync the files that it writes into a folder, so
this module does (measured on an ext4 disk: 12 ms for an object of 20 kB, and 0.1 ms without sync).

Every reader compares an object's SHA-256 with the one that was noted when the object was stored
(docs/decisions/2026-11-29-objects.md says where). An object from before hashes were noted has none.

uploads/<checkpoint id>/<part id>      parts of an upload; deleted once the checkpoint is complete
uploads/<random id>                    an upload in one go, or any object on its way into a local folder
checkpoints/<sha256>                   files as uploaded; only the sandbox opens them
weights/<sha256>.safetensors           canonical weights
manifests/<dataset id>.json            videos of a dataset
features/<hash>.safetensors, .json     of one shard, and how they were made; the hash is over all that
                                       determines them
media/<sha256>                         previews of some videos, one behind the other
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from vcp_core.catalog.errors import Private, StorageError
from vcp_core.catalog.files import sha256_of

if TYPE_CHECKING:
    from obstore.store import RetryConfig

CHUNK_BYTES = 8 << 20
MEDIA = "media"
CHUNKS_AT_ONCE = 2  # chunks of one upload in memory; with obstore's default of 12, an upload holds 100 MB
STAGED = re.compile(r"#\d+$")  # obstore ends the name of an incomplete file so
# By default obstore retries for three minutes, which is longer than a client waits for its answer.
RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=10)}
AWAY = re.compile(r"^Generic S3 error: .*(HTTP error|status code: (5\d\d|429))")  # as obstore writes it


class StoreAway(StorageError):
    """The store does not answer, or asks to try again later."""


class DamagedObject(StorageError):
    """An object has other bytes than those that were stored, or cannot be read."""


class MissingObject(DamagedObject):
    """An object that was stored is gone."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object in a list of the store.

    Attributes:
        key: Its key.
        size_bytes: Its size.
        age_s: Seconds since it was stored.
    """

    key: str
    size_bytes: int
    age_s: float


class Storage:
    """An object store.

    Args:
        url: `file:///folder`, which is made if it does not exist, or `s3://bucket/prefix`.

    Raises:
        StorageError: If the URL has another scheme, or the folder cannot be made.
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
        """Store a file's bytes, and replace an object of that key.

        Raises:
            StoreAway: If the store cannot be reached now. Every other method raises it, too.
            StorageError: If the store is full or fails.
        """
        with _told(key), path.open("rb") as file:
            self._put(key, file)

    def put_bytes(self, key: str, content: bytes) -> None:
        """Store bytes; as `put_file`."""
        with _told(key):
            self._put(key, content)

    def _put(self, key: str, content: IO[bytes] | bytes) -> None:
        if self._folder is None:
            obstore.put(self.store, key, content)
            return
        # Sync the bytes before giving them their name. Otherwise a power failure could leave a name without
        # bytes, which would look like an object.
        staged = f"uploads/{uuid4()}"
        try:
            obstore.put(self.store, staged, content)
            _sync(self._folder / staged)
            obstore.copy(self.store, staged, key)  # a hard link, or a copy
            self._settle(key)
        finally:
            self.delete(staged)

    def _settle(self, key: str) -> None:
        """Sync an object of a local folder, and all folders above it, to the disk."""
        if self._folder is not None:
            path = self._folder / key
            _sync(path)
            for folder in path.parents[: len(path.relative_to(self._folder).parts)]:
                _sync(folder)

    def get_bytes(self, key: str, *, sha256: str | None = None) -> bytes:
        """Return an object's bytes.

        Args:
            key: The object.
            sha256: Hash that the bytes must have; None for an object whose hash nobody noted.

        Raises:
            MissingObject: If the object does not exist.
            DamagedObject: If its bytes have another hash.
            StorageError: If the store cannot be reached.
        """
        try:
            with _told(key):
                content = bytes(obstore.get(self.store, key).bytes())
        except MissingObject:
            raise self._missing(key) from None
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise _damaged(key)
        return content

    def get_part(self, key: str, begin: int, size: int, *, sha256: str) -> bytes:
        """Return `size` bytes of an object, from byte `begin` on; as `get_bytes`."""
        try:
            with _told(key):
                content = bytes(obstore.get_range(self.store, key, start=begin, length=size))
        except MissingObject:
            raise self._missing(key) from None
        except StoreAway:
            raise
        except StorageError:
            with _told(key):
                stored = obstore.head(self.store, key)["size"]
            if stored < begin + size:
                raise _damaged(key) from None
            raise
        if sha256 != hashlib.sha256(content).hexdigest():
            raise _damaged(key)
        return content

    def fetch(self, key: str, folder: Path, *, sha256: str | None = None) -> Path:
        """Return a file with the object's bytes: in the store itself, or a copy in `folder`.

        The caller must not change the file.

        Args:
            key: The object.
            folder: Holds the copy.
            sha256: As for `get_bytes`.

        Raises:
            StorageError: As `get_bytes`, or if `folder` is full.
        """
        path = self._fetch(key, folder)
        if sha256 is None or _has(path, sha256):
            return path
        if path.parent == folder:  # a copy: it may be damaged, or older than the object
            path.unlink(missing_ok=True)
            path = self._fetch(key, folder)
            if _has(path, sha256):
                return path
            path.unlink(missing_ok=True)
        raise _damaged(key)

    def _fetch(self, key: str, folder: Path) -> Path:
        if self._folder is not None:
            path = self._folder / key
            if not path.is_file():
                raise self._missing(key)
            return path
        copy = folder / key.replace("/", "_")
        if not copy.exists():
            part = copy.with_name(copy.name + ".part")
            with _told(key), part.open("wb") as file:
                for chunk in obstore.get(self.store, key).stream(CHUNK_BYTES):
                    file.write(chunk)
            part.replace(copy)
        return copy

    def _missing(self, key: str) -> StorageError:
        if self._folder is not None and not self._folder.is_dir():  # a disk that is not mounted
            return StoreAway(f"{key}: the folder of the object store is not there.")
        return MissingObject(f"{key}: not in the store.")

    def exists(self, key: str) -> bool:
        """Whether the key has an object."""
        with _told(key):
            try:
                obstore.head(self.store, key)
            except FileNotFoundError:
                return False
            return True

    def check(self) -> None:
        """Check that the store answers.

        Raises:
            StoreAway: If it cannot be reached now.
            StorageError: If it fails otherwise.
        """
        if self._folder is not None and not self._folder.is_dir():
            raise self._missing("any object")
        for _ in self.keys("checkpoints/"):  # a store without a bucket has no list, but says "no such key"
            break

    def move(self, key: str, new_key: str) -> None:
        """Rename an object, and replace an object of the new name."""
        with _told(key):
            obstore.rename(self.store, key, new_key)
            self._settle(new_key)

    def delete(self, *keys: str) -> None:
        """Delete objects. A key without an object is no error."""
        if self._folder is None and len(keys) > 1:
            with _told(keys[0]), suppress(FileNotFoundError):
                obstore.delete(self.store, keys)  # in one request
                return
        for key in keys:
            with _told(key):
                try:
                    obstore.delete(self.store, key)
                except FileNotFoundError:
                    continue

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys in a folder and below."""
        with _told(prefix):
            for batch in obstore.list(self.store, prefix):
                yield from (str(found["path"]) for found in batch)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects in a folder and below, each with its size and age."""
        now = datetime.now(UTC)
        with _told(prefix):
            for batch in obstore.list(self.store, prefix):
                for found in batch:
                    age_s = (now - found["last_modified"]).total_seconds()
                    yield Entry(key=str(found["path"]), size_bytes=found["size"], age_s=age_s)

    def forget_staged(self, age_s: float) -> None:
        """Remove incomplete files that killed processes left in a local folder. `keys` does not list them."""
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

    async def stream(self, key: str, *, sha256: str | None = None) -> AsyncIterator[bytes]:
        """Yield an object's bytes, a few megabytes at a time.

        With `sha256`, the last chunk comes only if all bytes have this hash. So a reader of a damaged object
        gets fewer bytes than were announced, and notices.

        Raises:
            StorageError: As `get_bytes`.
        """
        digest, held = hashlib.sha256(), b""
        with _told(key):
            found = await obstore.get_async(self.store, key)
            async for chunk in found.stream(CHUNK_BYTES):
                if sha256 is None:
                    yield bytes(chunk)
                    continue
                if held:
                    yield held
                held = bytes(chunk)
                await asyncio.to_thread(digest.update, held)
        if sha256 not in (None, digest.hexdigest()):
            raise _damaged(key)
        if held:
            yield held

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[obstore.AsyncWritableFile]:
        """Open an asynchronous writer of one object. It stores nothing unless the block ends without error.

        Raises:
            StorageError: If the store is full or cannot be reached.
        """
        with _told(key):
            async with obstore.open_writer_async(
                self.store, key, buffer_size=CHUNK_BYTES, max_concurrency=CHUNKS_AT_ONCE
            ) as writer:
                yield writer
            await asyncio.to_thread(self._settle, key)


def _has(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError as error:
        if error.errno == errno.EIO:  # the disk cannot read its own sectors
            return False
        raise StorageError(path, f" cannot be read now: {error.strerror}.") from error


def _damaged(key: str) -> DamagedObject:
    return DamagedObject(f"{key}: damaged in the store. Its bytes are not those that were stored.")


def _sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the store's errors into a StorageError of one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingObject(f"{what}: not in the store.") from error
    except (OSError, BaseError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # obstore has one class for all of these, and its writers raise a plain OSError without a number.
        full = "No space left" in str(error) or "StorageFull" in str(error)
        kind = StoreAway if AWAY.search(first) else StorageError
        said = "the disk is full" if full else Private(first, "operators see why in the log")
        raise kind(f"{what}: the object store failed: ", said, full=full) from error


def checkpoint_key(sha256: str) -> str:
    """Key of an uploaded file."""
    return f"checkpoints/{sha256}"


def weights_key(sha256: str) -> str:
    """Key of canonical weights."""
    return f"weights/{sha256}.safetensors"


def manifest_key(dataset_id: UUID) -> str:
    """Key of a dataset's manifest."""
    return f"manifests/{dataset_id}.json"


def features_key(digest: str) -> str:
    """Key of a shard's features."""
    return f"features/{digest}.safetensors"


def media_key(sha256: str) -> str:
    """Key of previews."""
    return f"{MEDIA}/{sha256}"


def facts_key(features_key: str) -> str:
    """Key of the facts about how a shard's features were made."""
    return features_key.removesuffix(".safetensors") + ".json"
